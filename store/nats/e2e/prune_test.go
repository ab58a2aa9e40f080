package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/source"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

func TestPruneKeepsWhatItShould(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	store := e.store()
	if n, err := store.Prune(t.Context(), natsstore.Retention{Keep: 1}); n != 0 || err != nil {
		t.Errorf("prune of an empty store: %d, %v", n, err)
	}
	var g *source.Generation
	for range 10 {
		g = commit(t, store, next(t, g, 300<<10))
	}
	parts := len(e.keys("mtlsguard-blobs_orders"))
	prune := func(r natsstore.Retention, want int) {
		t.Helper()
		if n, err := store.Prune(t.Context(), r); n != want || err != nil {
			t.Errorf("prune %+v: %d, %v, want %d", r, n, err, want)
		}
	}
	check := func(oldest uint64) {
		t.Helper()
		for number := uint64(1); number <= 10; number++ {
			g, err := store.At(t.Context(), number)
			if number < oldest {
				if !errors.Is(err, source.ErrNone) {
					t.Errorf("at %d: %v, want ErrNone", number, err)
				}
				continue
			}
			if err == nil {
				_, err = g.Fetch(t.Context())
			}
			if err != nil {
				t.Errorf("at %d: %v", number, err)
			}
		}
		all, err := store.History(t.Context(), 0, 20)
		if err != nil || len(all) != int(10-oldest+1) {
			t.Errorf("the history has %d manifests, %v", len(all), err)
		}
	}
	prune(natsstore.Retention{Keep: 3, Younger: time.Hour}, 0)
	prune(natsstore.Retention{Keep: 20}, 0)
	check(1)
	prune(natsstore.Retention{Keep: 4}, 6)
	check(7)
	if n := len(e.keys("mtlsguard-blobs_orders")); n != parts {
		t.Errorf("%d parts of files are left of %d, though they are younger than an hour", n, parts)
	}
	prune(natsstore.Retention{Keep: 4, Grace: time.Nanosecond}, 0)
	check(7)
	if n := len(e.keys("mtlsguard-blobs_orders")); n != parts/10*4 {
		t.Errorf("%d parts of files are left, want %d", n, parts/10*4)
	}
	prune(natsstore.Retention{Grace: time.Nanosecond}, 3)
	check(10)
	if keys := e.keys("mtlsguard_orders"); len(keys) != 1 || keys[0] != "head" {
		t.Errorf("the keys %v are left, want head", keys)
	}
	g = commit(t, store, next(t, g))
	prune(natsstore.Retention{Keep: 2, Grace: time.Nanosecond}, 0)
	if _, err := g.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
}

// A file that an older generation had, and that a new one has again, is written again.
func TestPruneLeavesAFileThatCameBack(t *testing.T) {
	t.Parallel()
	store := newEngine(t).store()
	first := commit(t, store, next(t, nil, 300<<10))
	second := commit(t, store, next(t, first, 300<<10))
	back, err := source.Next(second, source.Manifest{Author: "anna"}, first.FS())
	if err != nil {
		t.Fatal(err)
	}
	commit(t, store, back)
	if n, err := store.Prune(t.Context(), natsstore.Retention{Keep: 1, Grace: time.Nanosecond}); n != 2 || err != nil {
		t.Errorf("prune: %d, %v", n, err)
	}
	g, err := store.Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
}

// While generations come, and others are pruned, nothing that the newest one names vanishes.
func TestPruneDuringCommits(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	editor, janitor, node := e.store(), e.store(), e.store()
	g := commit(t, editor, next(t, nil, 1000))
	done := make(chan error, 1)
	go func() {
		for range 60 {
			next := next(t, g, 1000)
			if err := editor.Commit(t.Context(), next); err != nil {
				done <- err
				return
			}
			g = next
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		if _, err := janitor.Prune(t.Context(), natsstore.Retention{Keep: 1}); err != nil {
			t.Fatal(err)
		}
		g, err := node.Load(t.Context(), nil)
		if err == nil {
			_, err = g.Fetch(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
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
