package storetest

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
)

// Measure commits some generations while nodes follow, and fails if the 99th percentile was slower than limit.
func Measure(t testing.TB, e Engine, nodes, commits int, limit time.Duration, sizes ...int) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it measures, so it needs the machine to itself")
	}
	ctx, cancel := context.WithCancel(t.Context())
	type news struct {
		number uint64
		at     time.Time
	}
	seen := make(chan news, nodes*(commits+1))
	var running sync.WaitGroup
	for range nodes {
		node := e.Open()
		running.Go(func() {
			Follow(ctx, node, func(g *source.Generation) { seen <- news{g.Manifest.Number, time.Now()} })
		})
	}
	defer running.Wait()
	defer cancel()
	editor := e.Open()
	var each, last []time.Duration
	var g *source.Generation
	for n := range commits + 1 {
		g = Next(t, g, sizes...)
		begun := time.Now()
		Commit(t, editor, g)
		slowest := time.Duration(0)
		for range nodes {
			select {
			case x := <-seen:
				if x.number != g.Manifest.Number {
					t.Fatalf("a node has generation %d, want %d", x.number, g.Manifest.Number)
				}
				took := x.at.Sub(begun)
				slowest = max(slowest, took)
				if n > 0 { // in the first one, nodes connect
					each = append(each, took)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("a node has not seen the commit")
			}
		}
		if n > 0 {
			last = append(last, slowest)
		}
		time.Sleep(30 * time.Millisecond) // the nodes listen again
	}
	slices.Sort(each)
	slices.Sort(last)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p99 := each[len(each)*99/100]
	t.Logf("%d nodes, files of %v bytes: each p50 %v, p99 %v; the last one: p50 %v, worst %v; heap %d MiB, %d goroutines", nodes, sizes,
		each[len(each)/2], p99, last[len(last)/2], last[len(last)-1], m.HeapInuse>>20, runtime.NumGoroutine())
	if p99 > limit {
		t.Errorf("p99 is %v, want at most %v", p99, limit)
	}
}
