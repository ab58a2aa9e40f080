package e2e

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

// A commit is on 100 nodes, each with a connection of its own, within a second.
func TestAHundredNodesHaveACommitWithinASecond(t *testing.T) {
	e := newEngine(t)
	measure(t, e, fleetSize, 20, time.Second)
}

// fleetSize is how many nodes the test has.
var fleetSize = 100

// BenchmarkFleet measures from the beginning of a commit to the last byte on the last of 100 nodes.
func BenchmarkFleet(b *testing.B) {
	for _, x := range []struct {
		name  string
		sizes []int
	}{{"small", nil}, {"64KiB", []int{64 << 10}}, {"1MiB", []int{1 << 20}}, {"8MiB", []int{8 << 20}}} {
		b.Run(x.name, func(b *testing.B) { measure(b, newEngine(b), 100, max(b.N, 2), time.Minute, x.sizes...) })
	}
}

// measure commits some generations while nodes follow, and fails if one was slower than limit.
func measure(t testing.TB, e *engine, nodes, commits int, limit time.Duration, sizes ...int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	type news struct {
		number uint64
		at     time.Time
	}
	seen := make(chan news, nodes*(commits+1))
	var running sync.WaitGroup
	for range nodes {
		node, err := natsstore.Open(natsstore.Config{URL: e.url(), Fleet: fleet})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer node.Close()
			follow(ctx, node, func(g *source.Generation) { seen <- news{g.Manifest.Number, time.Now()} })
		})
	}
	defer running.Wait()
	defer cancel()
	editor := e.store()
	var each, last []time.Duration
	var g *source.Generation
	for n := range commits + 1 {
		g = next(t, g, sizes...)
		begun := time.Now()
		commit(t, editor, g)
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
				t.Fatal("a node has no news")
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
