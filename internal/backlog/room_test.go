package backlog_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/backlog"
)

var twoForASecond = backlog.Bounds{Most: 2, Batch: 1, Wait: time.Second}

// gated is a sink that accepts one value for each value in its gate.
type gated struct {
	gate chan struct{}
	got  []int
}

func (g *gated) do(v []int) { <-g.gate; g.got = append(g.got, v...) }

// Put waits until a slow sink has made room, and loses nothing.
// Covers L9.
func TestPutWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := &gated{gate: make(chan struct{})}
		q := backlog.New(twoForASecond, nil, sink.do)
		go func() {
			for range 6 {
				time.Sleep(time.Second / 2)
				sink.gate <- struct{}{}
			}
		}()
		start := time.Now()
		for i := range 6 {
			if !q.Put(i) {
				t.Errorf("value %d is dropped", i)
			}
		}
		if waited := time.Since(start); waited != 2*time.Second { // four values had no room at first
			t.Errorf("Put waited for %v, want %v", waited, 2*time.Second)
		}
		if !q.Wait(time.Second) || !slices.Equal(sink.got, []int{0, 1, 2, 3, 4, 5}) {
			t.Errorf("got %v", sink.got)
		}
	})
}

// A sink that hangs holds up a caller for the bound once, and later callers not at all, until
// it goes on.
// Covers L9.
func TestSinkThatHangsHoldsUpPutOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := &gated{gate: make(chan struct{})}
		q := backlog.New(twoForASecond, nil, sink.do)
		put := func(v int, ok bool, d time.Duration) {
			t.Helper()
			start := time.Now()
			if got := q.Put(v); got != ok || time.Since(start) != d {
				t.Errorf("Put(%d) = %v after %v, want %v after %v", v, got, time.Since(start), ok, d)
			}
		}
		put(1, true, 0)
		put(2, true, 0)
		put(3, false, time.Second)
		for range 100 {
			put(4, false, 0)
		}
		if q.Offer(5) || q.Dropped() != 102 {
			t.Errorf("%d are dropped", q.Dropped())
		}
		sink.gate <- struct{}{} // it goes on, and hangs again
		synctest.Wait()
		put(6, true, 0)
		put(7, false, time.Second)
		close(sink.gate)
		if !q.Wait(time.Second) || !slices.Equal(sink.got, []int{1, 2, 6}) {
			t.Errorf("got %v", sink.got)
		}
	})
}

// Values are handed over together up to the bound of a batch, and a value that is larger than
// any bound alone. The sizes count until a value is handed over.
func TestBatchesBySize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got [][]int
		gate := make(chan struct{})
		q := backlog.New(backlog.Bounds{Most: 100, Batch: 10}, func(v int) int { return v }, func(v []int) {
			got = append(got, slices.Clone(v))
			<-gate
		})
		if !q.Offer(1000) || q.Offer(1) {
			t.Error("a value larger than the bound is accepted alone")
		}
		gate <- struct{}{}
		synctest.Wait()
		for _, v := range []int{3, 3, 3, 3, 50, 4} {
			if !q.Offer(v) {
				t.Errorf("%d is dropped", v)
			}
		}
		if q.Offer(35) || !q.Offer(34) {
			t.Error("66 are held: there is room for 34 more")
		}
		close(gate)
		q.Wait(time.Second)
		flat := slices.Concat(got...)
		if !slices.Equal(flat, []int{1000, 3, 3, 3, 3, 50, 4, 34}) {
			t.Errorf("got %v", flat)
		}
		for _, batch := range got {
			sum := 0
			for _, v := range batch {
				sum += v
			}
			if sum > 10 && len(batch) > 1 {
				t.Errorf("the batch %v is larger than 10", batch)
			}
		}
	})
}

// Wait goes on while values are handed over, and not for ever.
func TestWaitWhileASlowSinkGoesOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values int
		want   bool
		after  time.Duration
	}{{6, true, 4800 * time.Millisecond}, {10, false, 5 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			q := backlog.New(backlog.Bounds{Most: 10, Batch: 1}, nil, func([]int) { time.Sleep(800 * time.Millisecond) })
			for i := range c.values {
				q.Offer(i)
			}
			defer q.Wait(time.Minute)
			start := time.Now()
			if got := q.Wait(time.Second); got != c.want || time.Since(start) != c.after {
				t.Errorf("%d values: %v after %v, want %v after %v", c.values, got, time.Since(start), c.want, c.after)
			}
		})
	}
}
