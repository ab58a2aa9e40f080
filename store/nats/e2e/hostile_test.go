package e2e

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/source"
)

// The content of the store is not trusted: wrong content causes an error, and nothing else.
func TestWhatTheServerHoldsIsNotTrusted(t *testing.T) {
	t.Parallel()
	other, err := source.Next(nil, source.Manifest{Fleet: "other", Author: "anna"}, fstest.MapFS{"a": {Data: []byte("a")}})
	if err != nil {
		t.Fatal(err)
	}
	first := next(t, nil, 300<<10)
	large := first.Manifest.Files[2]
	part := func(n string) string { return "blob." + large.SHA256.String() + "." + n }
	for _, x := range []struct {
		name        string
		bucket, key string
		value       []byte // nil: the key is deleted
		loaded      bool   // whether Load succeeds
		want        string
	}{
		{"no manifest", "mtlsguard_orders", "head", []byte("{}"), false, "manifest"},
		{"no JSON", "mtlsguard_orders", "head", []byte("\x00\xff"), false, "cannot be read"},
		{"nothing", "mtlsguard_orders", "head", []byte{}, false, "cannot be read"},
		{"two documents", "mtlsguard_orders", "head", append(first.Encode(), first.Encode()...), false, "after its end"},
		{"a manifest that is too large", "mtlsguard_orders", "head", bytes.Repeat([]byte(" "), source.MaxEnvelope+1), false, "more than 1024 KiB"},
		{"another fleet", "mtlsguard_orders", "head", other.Encode(), false, `is of the fleet "other"`},
		{"a part that is too long", "mtlsguard-blobs_orders", part("0"), make([]byte, 256<<10+1), true, "and should have 262144"},
		{"a part that is too short", "mtlsguard-blobs_orders", part("1"), make([]byte, 3), true, "has 3 bytes"},
		{"a part that is not there", "mtlsguard-blobs_orders", part("1"), nil, true, fs.ErrNotExist.Error()},
		{"a part with other content", "mtlsguard-blobs_orders", part("1"), make([]byte, 300<<10-256<<10), true, ""},
		{"a flipped bit", "mtlsguard-blobs_orders", part("0"), append([]byte("2"), make([]byte, 256<<10-1)...), true, "SHA-256"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			e := startEngine(t, server.Options{MaxPayload: 4 << 20})
			store, js := e.store(), e.jetStream()
			commit(t, store, first)
			if x.value == nil {
				kv, err := js.KeyValue(t.Context(), x.bucket)
				if err != nil {
					t.Fatal(err)
				}
				if err := kv.Delete(t.Context(), x.key); err != nil {
					t.Fatal(err)
				}
			} else {
				overwrite(t, js, x.bucket, x.key, x.value)
			}
			g, err := store.Load(t.Context(), nil)
			if (err == nil) != x.loaded {
				t.Fatalf("load: %v", err)
			}
			if err == nil {
				_, err = g.Fetch(t.Context())
			}
			if x.want == "" { // zeros are what the file has there
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("error %v, want %q in it", err, x.want)
			}
			if x.loaded {
				return
			}
			if err := store.Watch(t.Context(), first); err == nil {
				t.Error("a watch of it returned nil")
			}
			if err := store.Commit(t.Context(), next(t, first)); err == nil || errors.Is(err, source.ErrConflict) {
				t.Errorf("commit: %v", err)
			}
		})
	}
}

// overwrite writes a value that may be larger than the bucket takes.
func overwrite(t *testing.T, js jetstream.JetStream, bucket, key string, value []byte) {
	t.Helper()
	s, err := js.Stream(t.Context(), "KV_"+bucket)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	c.MaxMsgSize = -1
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherGenerationUnderANumberIsRefused(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	storetest.AnotherGenerationUnderANumber(t, e.store(), func(envelope []byte) { overwrite(t, e.jetStream(), "mtlsguard_orders", "gen.1", envelope) })
}

func TestANodeCannotReportForAnother(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	js := e.jetStream()
	storetest.ReportsAreThoseOfTheirKeys(t, e.store(), "d=zz", func(node, value string) { overwrite(t, js, "mtlsguard-nodes_orders", node, []byte(value)) })
}

// A server with too small a bound on messages is an error before anything is written.
func TestAServerWithSmallMessagesIsAnError(t *testing.T) {
	t.Parallel()
	e := startEngine(t, server.Options{MaxPayload: 64 << 10})
	if err := e.store().Commit(t.Context(), next(t, nil)); err == nil || !strings.Contains(err.Error(), "max_payload") {
		t.Errorf("commit: %v, want one that names max_payload", err)
	}
}

// Without a bucket there is no generation, and after the buckets were deleted a commit begins again.
func TestDeletedBucketsAreCreatedAgain(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	store, js := e.store(), e.jetStream()
	commit(t, store, next(t, nil))
	for _, b := range []string{"mtlsguard_orders", "mtlsguard-blobs_orders"} {
		if err := js.DeleteKeyValue(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Load(t.Context(), nil); err == nil {
		t.Fatal("load: no error")
	}
	if _, err := store.Load(t.Context(), nil); !errors.Is(err, source.ErrNone) {
		t.Errorf("load: %v, want ErrNone", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var err error
	for range 3 { // an attempt notices that a bucket is gone
		if err = store.Commit(ctx, next(t, nil)); err == nil {
			return
		}
	}
	t.Error(err)
}

func TestACommitMendsAFileThatWasSpoiled(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	storetest.CommitMendsASpoiledFile(t, e.store(), func(digest, content string) {
		overwrite(t, e.jetStream(), "mtlsguard-blobs_orders", "blob."+digest+".0", []byte(content))
	})
}
