package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

func TestPrune(t *testing.T) {
	t.Parallel()
	sourcetest.RunPrune(t, func(t *testing.T) source.Store {
		return open(t, natsstore.Config{URL: newEngine(t).url(), Fleet: sourcetest.Fleet})
	}, func(ctx context.Context, s source.Store, keep int, younger, grace time.Duration) (int, error) {
		return s.(*natsstore.Store).Prune(ctx, natsstore.Retention{Keep: keep, Younger: younger, Grace: grace})
	})
}

// Files that no generation names go when they are older than an hour.
func TestPruneKeepsYoungFiles(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	store := e.store()
	var g *source.Generation
	for range 4 {
		g = commit(t, store, next(t, g, 300<<10))
	}
	parts := len(e.keys("mtlsguard-blobs_orders"))
	for _, x := range []struct {
		grace time.Duration
		want  int
	}{{0, parts}, {time.Nanosecond, parts / 4}} {
		if _, err := store.Prune(t.Context(), natsstore.Retention{Keep: 1, Grace: x.grace}); err != nil {
			t.Fatal(err)
		}
		if n := len(e.keys("mtlsguard-blobs_orders")); n != x.want {
			t.Errorf("with a grace of %v %d parts of files are left of %d, want %d", x.grace, n, parts, x.want)
		}
	}
	if keys := e.keys("mtlsguard_orders"); len(keys) != 1 || keys[0] != "head" {
		t.Errorf("the keys %v are left, want head", keys)
	}
}

// keys returns the keys of a bucket.
func (e *engine) keys(bucket string) []string {
	e.t.Helper()
	js := e.jetStream()
	defer js.Conn().Close()
	kv, err := js.KeyValue(e.t.Context(), bucket)
	if err != nil {
		e.t.Fatal(err)
	}
	keys, err := kv.Keys(e.t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		e.t.Fatal(err)
	}
	for _, k := range keys {
		if strings.Contains(k, " ") {
			e.t.Fatal(fmt.Errorf("key %q", k))
		}
	}
	return keys
}
