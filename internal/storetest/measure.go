package storetest

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// Measure commits some generations while nodes follow, and fails if the 99th percentile was slower than limit, three
// times: another program may delay one measurement.
func Measure(t testing.TB, e Engine, nodes, commits int, limit time.Duration, sizes ...int) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it measures, so it needs the machine to itself")
	}
	m := followers{TB: t, editor: e.Open(), seen: make(chan news, 2*nodes), nodes: nodes, sizes: sizes}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range nodes {
		node := e.Open()
		running.Go(func() {
			Follow(ctx, node, func(g *source.Generation) { m.seen <- news{g.Manifest.Number, time.Now()} })
		})
	}
	defer running.Wait()
	defer cancel()
	m.commit() // meanwhile nodes connect
	for tries := 1; ; tries++ {
		p99 := m.measure(commits)
		if p99 <= limit {
			return
		}
		if tries == 3 {
			t.Errorf("p99 is %v, want at most %v", p99, limit)
			return
		}
	}
}

// followers are nodes that follow a store.
type followers struct {
	testing.TB
	editor source.Store
	newest *source.Generation
	seen   chan news
	nodes  int
	sizes  []int
}

// news is that a node has a generation.
type news struct {
	number uint64
	at     time.Time
}

// commit commits a generation, and returns after how long each node had it.
func (f *followers) commit() (took []time.Duration) {
	f.Helper()
	f.newest = Next(f, f.newest, f.sizes...)
	begun := time.Now()
	Commit(f, f.editor, f.newest)
	for range f.nodes {
		select {
		case x := <-f.seen:
			if x.number != f.newest.Manifest.Number {
				f.Fatalf("a node has generation %d, want %d", x.number, f.newest.Manifest.Number)
			}
			took = append(took, x.at.Sub(begun))
		case <-time.After(testkit.Patience):
			f.Fatal("a node has not seen the commit")
		}
	}
	time.Sleep(30 * time.Millisecond) // the nodes listen again
	return took
}

// measure commits some generations, and returns the 99th percentile of the time after which a node had one.
func (f *followers) measure(commits int) time.Duration {
	f.Helper()
	var each, last []time.Duration
	for range commits {
		took := f.commit()
		each, last = append(each, took...), append(last, slices.Max(took))
	}
	slices.Sort(each)
	slices.Sort(last)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p99 := each[len(each)*99/100]
	f.Logf("%d nodes, files of %v bytes: each p50 %v, p99 %v; the last one: p50 %v, worst %v; heap %d MiB, %d goroutines", f.nodes, f.sizes,
		each[len(each)/2], p99, last[len(last)/2], last[len(last)-1], m.HeapInuse>>20, runtime.NumGoroutine())
	return p99
}
