package e2e

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

// Covers fleet traps 1 and 6.
func TestNewsComeWithin500MillisecondsOfARestart(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	editor, node := e.store(), e.store()
	g := commit(t, editor, next(t, nil))
	seen := make(chan uint64, 100)
	go follow(t.Context(), node, func(g *source.Generation) { seen <- g.Manifest.Number })
	waitFor(t, seen, 1)
	for _, down := range []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond} {
		e.restart(down)
		started := time.Now()
		testkit.Eventually(t, "the editor is connected", func() bool { _, err := editor.Load(t.Context(), nil); return err == nil })
		g = commit(t, editor, next(t, g))
		waitFor(t, seen, g.Manifest.Number)
		took := time.Since(started)
		t.Logf("down for %v: generation %d was there %v after the restart", down, g.Manifest.Number, took)
		if took > 500*time.Millisecond+slack {
			t.Errorf("down for %v: the news took %v", down, took)
		}
	}
}

// slack is what a busy test machine may add: the promise is 500 ms, and the defaults of the client
// take 2 s to 7 s.
const slack = time.Second

// waitFor waits until a generation, or a later one, was seen.
func waitFor(t *testing.T, seen <-chan uint64, number uint64) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case n := <-seen:
			if n >= number {
				return
			}
		case <-late:
			t.Fatalf("generation %d was not seen within 20 s", number)
		}
	}
}

func TestACommitBeforeARestartIsNotLost(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	editor := e.store()
	first := commit(t, editor, next(t, nil, 600<<10))
	second := commit(t, editor, next(t, first, 600<<10))
	e.restart(0)
	node := e.store()
	testkit.Eventually(t, "the second generation is there", func() bool {
		g, err := node.Load(t.Context(), nil)
		if err != nil {
			return false
		}
		_, err = g.Fetch(t.Context())
		return err == nil && g.Same(second)
	})
	if g, err := node.At(t.Context(), 1); err != nil || !g.Same(first) {
		t.Errorf("generation 1: %v", err)
	}
}

// A connection whose packets vanish is noticed by the heartbeat, and replaced.
func TestADeadConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	p := newProxy(t, e.client.Host)
	editor := e.store()
	node := open(t, etcdstore.Config{Client: clientv3.Config{Endpoints: []string{p.url()}}, Fleet: fleet, Heartbeat: 300 * time.Millisecond})
	g := commit(t, editor, next(t, nil))
	seen := make(chan uint64, 100)
	go follow(t.Context(), node, func(g *source.Generation) { seen <- g.Manifest.Number })
	waitFor(t, seen, 1)
	p.swallow()
	started := time.Now()
	g = commit(t, editor, next(t, g))
	waitFor(t, seen, 2)
	t.Logf("noticed and mended after %v", time.Since(started))
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("the news took %v", took)
	}
	commit(t, editor, next(t, g))
	waitFor(t, seen, 3)
}

func TestACallWithoutAServerFailsAndSaysWhy(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := e.store()
	commit(t, s, next(t, nil))
	e.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	started := time.Now()
	_, err := s.Load(ctx, nil)
	if err == nil || time.Since(started) > 7*time.Second || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("load: %v after %v", err, time.Since(started))
	}
	t.Log(err)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Watch(short, nil); err == nil {
		t.Error("a watch without a server ended before its context")
	}
}

func TestAStoreCanBeOpenedBeforeItsServer(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	g := commit(t, e.store(), next(t, nil))
	e.stop()
	s := e.store()
	done := make(chan error, 1)
	go func() { done <- s.Watch(t.Context(), nil) }()
	time.Sleep(50 * time.Millisecond)
	e.start()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context(), nil); err != nil || !got.Same(g) {
		t.Error(err)
	}
}

// Covers fleet trap 6: after 50 restarts nothing is left behind.
func TestFiftyRestartsLeaveNothingBehind(t *testing.T) {
	e := newEngine(t)
	e.between = newProxy(t, e.client.Host)
	editor := e.store()
	const nodes = 5
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var g *source.Generation
	seen := make([]chan uint64, nodes)
	for i := range seen {
		seen[i] = make(chan uint64, 1000)
		node := e.store()
		go follow(ctx, node, func(g *source.Generation) { seen[i] <- g.Manifest.Number })
	}
	round := func() {
		t.Helper()
		testkit.Eventually(t, "the editor is connected", func() bool {
			_, err := editor.History(t.Context(), 0, 1)
			return err == nil
		})
		g = commit(t, editor, next(t, g))
		for i := range seen {
			waitFor(t, seen[i], g.Manifest.Number)
		}
		if _, err := editor.Reports(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	round()
	e.restart(0)
	round()
	time.Sleep(500 * time.Millisecond) // the nodes watch again
	before := runtime.NumGoroutine()
	restarts := 50
	if testing.Short() {
		restarts = 5
	}
	for i := range restarts {
		e.restart(0)
		if i%5 == 0 { // the others meet nodes that are still connecting
			round()
		}
	}
	round()
	testkit.Eventually(t, "the goroutines are as many as before", func() bool { return runtime.NumGoroutine() <= before+5 })
	t.Logf("goroutines: %d before, %d after", before, runtime.NumGoroutine())
}
