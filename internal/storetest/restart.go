package storetest

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// NewsAfterRestart tests that a node learns of a commit within 500 ms of a restart of the server. One restart
// of five has to be that fast: a busy machine delays some, and a client with a long pause is always late.
func NewsAfterRestart(t *testing.T, e Engine) {
	editor, node := e.Open(), e.Open()
	g := Commit(t, editor, Next(t, nil))
	seen := make(chan uint64, 100)
	go Follow(t.Context(), node, func(g *source.Generation) { seen <- g.Manifest.Number })
	WaitFor(t, seen, 1)
	for _, down := range []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond} {
		for tries := 1; ; tries++ {
			e.restart(down)
			started := time.Now()
			testkit.Eventually(t, "the editor is connected", func() bool { _, err := editor.Load(t.Context(), nil); return err == nil })
			g = Commit(t, editor, Next(t, g))
			WaitFor(t, seen, g.Manifest.Number)
			took := time.Since(started)
			t.Logf("down for %v: generation %d was there %v after the restart", down, g.Manifest.Number, took)
			if took <= 500*time.Millisecond+Slack {
				break
			}
			if tries == 5 {
				t.Errorf("down for %v: the commit took %v, want at most 500 ms", down, took)
				break
			}
		}
	}
}

// CommitBeforeRestart tests that a restart loses no commit.
func CommitBeforeRestart(t *testing.T, e Engine) {
	editor := e.Open()
	first := Commit(t, editor, Next(t, nil, 600<<10))
	second := Commit(t, editor, Next(t, first, 600<<10))
	e.restart(0)
	node := e.Open()
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

// OpenBeforeServer tests a store that is opened while its server is down.
func OpenBeforeServer(t *testing.T, e Engine) {
	g := Commit(t, e.Open(), Next(t, nil))
	e.Stop()
	s := e.Open()
	done := make(chan error, 1)
	go func() { done <- s.Watch(t.Context(), nil) }()
	time.Sleep(50 * time.Millisecond)
	e.Start()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context(), nil); err != nil || !got.Same(g) {
		t.Error(err)
	}
}

// FiftyRestarts tests that restarts of the server leave no goroutine behind. settled is called before them, and check after them.
func FiftyRestarts(t *testing.T, e Engine, settled, check func()) {
	editor := e.Open()
	const nodes = 5
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var g *source.Generation
	seen := make([]chan uint64, nodes)
	for i := range seen {
		seen[i] = make(chan uint64, 1000)
		node := e.Open()
		go Follow(ctx, node, func(g *source.Generation) { seen[i] <- g.Manifest.Number })
	}
	round := func() {
		t.Helper()
		testkit.Eventually(t, "the editor is connected", func() bool {
			_, err := editor.History(t.Context(), 0, 1)
			return err == nil
		})
		g = Commit(t, editor, Next(t, g))
		for i := range seen {
			WaitFor(t, seen[i], g.Manifest.Number)
		}
		if _, err := editor.Reports(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	round()
	e.restart(0)
	round()
	time.Sleep(500 * time.Millisecond) // the nodes watch again
	settled()
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
	check()
	testkit.Eventually(t, "the goroutines are as many as before", func() bool { return runtime.NumGoroutine() <= before+5 })
	t.Logf("goroutines: %d before, %d after", before, runtime.NumGoroutine())
}
