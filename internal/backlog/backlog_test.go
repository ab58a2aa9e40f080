package backlog_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/backlog"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

func TestOrderAndEnd(t *testing.T) {
	var got []int
	q := backlog.New(backlog.Bounds{Most: 1000, Batch: 100}, nil, func(v []int) { got = append(got, v...) })
	for i := range 1000 {
		if !q.Offer(i) {
			t.Fatal("dropped below the bound")
		}
	}
	if !q.Wait(testkit.Patience) {
		t.Fatal("not done")
	}
	for i, v := range got {
		if i != v {
			t.Fatalf("value %d is at position %d, want %d", v, i, v)
		}
	}
	if len(got) != 1000 || q.Dropped() != 0 {
		t.Errorf("%d values, %d dropped", len(got), q.Dropped())
	}
}

// Covers L9.
func TestBlockedSinkNeverBlocksAnOffer(t *testing.T) {
	release := make(chan struct{})
	var mu sync.Mutex
	done := 0
	q := backlog.New(backlog.Bounds{Most: 10, Batch: 10}, nil, func(v []int) { <-release; mu.Lock(); done += len(v); mu.Unlock() })
	taken := 0
	for i := range 100 {
		if q.Offer(i) {
			taken++
		}
	}
	if q.Wait(10 * time.Millisecond) {
		t.Error("Wait returns true for a blocked queue")
	}
	if got := q.Dropped(); got != uint64(100-taken) || taken > 20 {
		t.Errorf("%d accepted, %d dropped", taken, got)
	}
	close(release)
	if !q.Wait(testkit.Patience) {
		t.Fatal("not done")
	}
	mu.Lock()
	defer mu.Unlock()
	if done != taken {
		t.Errorf("%d delivered, %d accepted", done, taken)
	}
}

// Wait waits for the values that are queued when it is called, not for later ones.
func TestWaitUnderLoad(t *testing.T) {
	stop := make(chan struct{})
	q := backlog.New(backlog.Bounds{Most: 50, Batch: 50}, nil, func([]int) { time.Sleep(100 * time.Microsecond) })
	var load sync.WaitGroup
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				q.Offer(0) // never idle
			}
		}
	})
	for range 3 {
		if !q.Wait(testkit.Patience) {
			t.Error("Wait waits for later values")
		}
	}
	close(stop)
	load.Wait()
	if !q.Wait(testkit.Patience) || !q.Wait(0) {
		t.Error("not done")
	}
}

// A Wait that gives up leaves no goroutine, and does not block another Wait.
func TestWaitGivenUp(t *testing.T) {
	release := make(chan struct{})
	q := backlog.New(backlog.Bounds{Most: 10, Batch: 10}, nil, func([]int) { <-release })
	q.Offer(1)
	var short, long sync.WaitGroup
	for range 5 {
		short.Go(func() {
			if q.Wait(time.Millisecond) {
				t.Error("Wait returns true for a blocked queue")
			}
		})
		long.Go(func() {
			if !q.Wait(testkit.Patience) {
				t.Error("not done")
			}
		})
	}
	short.Wait()
	close(release)
	long.Wait()
}

// Values that come soon after others are handed over together, at the end of a pause; the first
// one, a full batch, and a Wait are not held up.
func TestValuesThatComeSoonAreHandedOverTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []int
		q := backlog.New(backlog.Bounds{Most: 100, Batch: 10}, nil, func(v []int) { mu.Lock(); got = append(got, len(v)); mu.Unlock() })
		offer := func(n int) {
			for range n {
				q.Offer(0)
				synctest.Wait()
			}
		}
		check := func(what string, want ...int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(got, want) {
				t.Errorf("%s: batches of %v, want %v", what, got, want)
			}
		}
		offer(1)
		check("the first value", 1)
		offer(5)
		check("in the pause", 1)
		time.Sleep(time.Millisecond)
		check("after the pause", 1, 5)
		offer(11)
		check("a full batch", 1, 5, 10)
		time.Sleep(time.Millisecond)
		check("the rest", 1, 5, 10, 1)
		offer(2)
		if !q.Wait(0) && !q.Wait(time.Microsecond) {
			t.Error("Wait waits for the end of the pause")
		}
		check("a Wait", 1, 5, 10, 1, 2)
		time.Sleep(time.Hour)
		offer(1)
		check("after a quiet time", 1, 5, 10, 1, 2, 1)
	})
}
