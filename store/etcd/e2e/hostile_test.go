package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/source"
)

// The content of etcd is not trusted: wrong content causes an error, and nothing else.
func TestWhatTheServerHoldsIsNotTrusted(t *testing.T) {
	t.Parallel()
	other, err := source.Next(nil, source.Manifest{Fleet: "other", Author: "anna"}, fstest.MapFS{"a": {Data: []byte("a")}})
	if err != nil {
		t.Fatal(err)
	}
	first := next(t, nil, 300<<10)
	large := first.Manifest.Files[2]
	part := func(n string) string { return "blob/" + large.SHA256.String() + "/00000" + n }
	e := newEngine(t)
	store, admin := e.store(), e.admin()
	commit(t, store, first)
	for _, x := range []struct {
		name, key string
		value     []byte // nil: the key is deleted
		loaded    bool   // whether Load succeeds
		want      string
	}{
		{"no manifest", "head", []byte("{}"), false, "manifest"},
		{"no JSON", "head", []byte("\x00\xff"), false, "cannot be read"},
		{"nothing", "head", []byte{}, false, "cannot be read"},
		{"two documents", "head", append(first.Encode(), first.Encode()...), false, "after its end"},
		{"a manifest that is too large", "head", bytes.Repeat([]byte(" "), source.MaxEnvelope+1), false, "more than 1024 KiB"},
		{"another fleet", "head", other.Encode(), false, `is of the fleet "other"`},
		{"a part that is too long", part("0"), make([]byte, 256<<10+1), true, "and should have 262144"},
		{"a part that is too short", part("1"), make([]byte, 3), true, "has 3 bytes"},
		{"a part that is not there", part("1"), nil, true, fs.ErrNotExist.Error()},
		{"a flipped bit", part("0"), append([]byte("2"), make([]byte, 256<<10-1)...), true, "SHA-256"},
	} {
		t.Run(x.name, func(t *testing.T) {
			key := "/mtlsguard/orders/" + x.key
			before, err := admin.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if _, err := admin.Put(t.Context(), key, string(before.Kvs[0].Value)); err != nil {
					t.Error(err)
				}
			}()
			if x.value == nil {
				_, err = admin.Delete(t.Context(), key)
			} else {
				_, err = admin.Put(t.Context(), key, string(x.value))
			}
			if err != nil {
				t.Fatal(err)
			}
			g, err := store.Load(t.Context(), nil)
			if (err == nil) != x.loaded {
				t.Fatalf("load: %v", err)
			}
			if err == nil {
				_, err = g.Fetch(t.Context())
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

func TestAnotherGenerationUnderANumberIsRefused(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	storetest.AnotherGenerationUnderANumber(t, e.store(), func(envelope []byte) {
		if _, err := e.admin().Put(t.Context(), "/mtlsguard/orders/gen/00000000000000000001", string(envelope)); err != nil {
			t.Fatal(err)
		}
	})
}

// All reports are read, however many and however large they are.
func TestANodeCannotReportForAnother(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	store, admin := e.store(), e.admin()
	storetest.ReportsAreThoseOfTheirKeys(t, store, "d/e", func(node, value string) {
		if _, err := admin.Put(t.Context(), "/mtlsguard/orders/node/"+node, value); err != nil {
			t.Fatal(err)
		}
	})
	for i := range 100 { // several answers
		if err := store.PutReport(t.Context(), source.Report{Node: strings.Repeat("n", i+1), Number: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := store.Reports(t.Context()); err != nil || len(all) != 105 {
		t.Errorf("%d reports, %v, want 105", len(all), err)
	}
	for _, node := range []string{"x1", "x2", "x3", "x4"} { // more than one answer may have
		if _, err := admin.Put(t.Context(), "/mtlsguard/orders/node/"+node, strings.Repeat(" ", 1400<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := store.Reports(t.Context()); err != nil || len(all) != 109 {
		t.Errorf("%d reports, %v, want 109", len(all), err)
	}
	leases, err := admin.Leases(t.Context())
	if err != nil || len(leases.Leases) != 1 {
		t.Errorf("leases: %v, %v, want one", leases, err)
	}
}

func TestACommitMendsAFileThatWasSpoiled(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	storetest.CommitMendsASpoiledFile(t, e.store(), func(digest, content string) {
		if _, err := e.admin().Put(t.Context(), "/mtlsguard/orders/blob/"+digest+"/000000", content); err != nil {
			t.Fatal(err)
		}
	})
}
