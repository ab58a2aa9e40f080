package quota_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/quota"
)

// clock is a clock in nanoseconds that only the test moves.
type clock struct{ atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}

// table takes from the buckets of one rule.
type table struct {
	quota.Buckets
	*clock
	rate quota.Rate
}

func newTable(n int, in time.Duration, burst int) *table {
	return &table{clock: newClock(), rate: quota.NewRate(n, in, burst)}
}

func (t *table) take(user string) time.Duration {
	_, wait := t.Take(quota.Hash(user), user, t.Load(), t.rate, t.Load)
	return wait
}

// taken returns how many of n requests of a user are let through.
func (t *table) taken(user string, n int) (out int) {
	for range n {
		if t.take(user) == 0 {
			out++
		}
	}
	return out
}

func (t *table) want(tb testing.TB, user string, n, want int) {
	tb.Helper()
	if got := t.taken(user, n); got != want {
		tb.Errorf("%d of %d requests of %s let through, want %d", got, n, user, want)
	}
}

func TestABucketHoldsABurstAndFillsAtItsRate(t *testing.T) {
	t.Parallel()
	x := newTable(10, time.Second, 20)
	x.want(t, "alice", 50, 20)
	if wait := x.take("alice"); wait != 100*time.Millisecond {
		t.Errorf("the next request in %s, want 100ms", wait)
	}
	x.want(t, "bob", 50, 20)
	x.Add(int64(99 * time.Millisecond))
	x.want(t, "alice", 5, 0)
	x.Add(int64(time.Millisecond))
	x.want(t, "alice", 5, 1)
	x.Add(int64(time.Second))
	x.want(t, "alice", 50, 10)
	x.Add(int64(time.Hour))
	x.want(t, "alice", 50, 20)
}

// A rate that is no whole number of nanoseconds is not exceeded.
func TestARateIsNeverExceeded(t *testing.T) {
	t.Parallel()
	x := newTable(3, time.Second, 3)
	got := 0
	for range 10_000 {
		got += x.taken("alice", 1)
		x.Add(int64(time.Millisecond))
	}
	if got > 3+30 || got < 3+29 {
		t.Errorf("%d requests in 10 s at 3/s with a burst of 3", got)
	}
}

func TestAClockThatIsSetBackLocksNoCallerOut(t *testing.T) {
	t.Parallel()
	x := newTable(10, time.Minute, 10)
	x.want(t, "alice", 10, 10)
	x.Add(-int64(365 * 24 * time.Hour))
	x.want(t, "alice", 10, 0) // and it gives no new burst
	x.Add(int64(6 * time.Second))
	x.want(t, "alice", 10, 1)
	x.Add(int64(time.Minute))
	x.want(t, "alice", 20, 10)
}

// A clock goes on while a request is counted: after it was set back, it is later with every look, and yet earlier than
// before.
func TestAClockThatIsSetBackAndGoesOnHoldsNoRequest(t *testing.T) {
	t.Parallel()
	x := newTable(10, time.Minute, 10)
	x.want(t, "alice", 10, 10)
	x.Add(-int64(time.Hour))
	looks := 0
	clock := func() int64 {
		if looks++; looks > 100 {
			t.Fatal("one request looks at the clock without end")
		}
		return x.Add(1)
	}
	for _, user := range []string{"alice", "bob"} {
		_, wait := x.Take(quota.Hash(user), user, clock(), x.rate, clock)
		if got, want := wait > 0, user == "alice"; got != want {
			t.Errorf("%s has to wait %v", user, wait)
		}
	}
}

// A goroutine that was stopped after it read the clock does not lower what others have counted.
func TestALateGoroutineGivesNothingAway(t *testing.T) {
	t.Parallel()
	x := newTable(10, time.Second, 10)
	early := x.Load()
	x.Add(int64(10 * time.Second))
	x.want(t, "alice", 10, 10)
	if _, wait := x.Take(quota.Hash("alice"), "alice", early, x.rate, x.Load); wait == 0 {
		t.Error("let through with an early time")
	}
	x.want(t, "alice", 10, 0)
}

func TestASmallerBurstCountsAtOnce(t *testing.T) {
	t.Parallel()
	x := newTable(1, time.Minute, 100)
	x.want(t, "alice", 200, 100)
	x.rate = quota.NewRate(1, time.Minute, 2)
	x.want(t, "alice", 5, 0)
	x.Add(int64(2 * time.Minute))
	x.want(t, "alice", 5, 2)
}

func TestAReturnedRequestCanBeTakenAgain(t *testing.T) {
	t.Parallel()
	x := newTable(1, time.Minute, 3)
	for range 100 {
		b, wait := x.Take(quota.Hash("alice"), "alice", x.Load(), x.rate, x.Load)
		if wait != 0 {
			t.Fatal("not let through")
		}
		b.Return(x.rate)
	}
	x.want(t, "alice", 5, 3)
}

func TestAFloodOfUsersResetsNoQuota(t *testing.T) {
	t.Parallel()
	x := newTable(1, time.Hour, 3)
	x.SetMax(100)
	x.want(t, "alice", 5, 3)
	let := 0
	for round := range 50 {
		for i := range 100 {
			let += x.taken(fmt.Sprint("flood", round, "-", i), 1)
		}
		x.Add(int64(2 * time.Second)) // a table at its bound may be searched again
		x.want(t, "alice", 1, 0)
	}
	if x.Len() != 100 {
		t.Errorf("%d buckets, want 100", x.Len())
	}
	if let != 99+3 { // those with a bucket once each, and the others share a burst
		t.Errorf("%d requests of the flood let through, want 102", let)
	}
	x.want(t, "bob", 5, 0) // fail closed: bob shares the bucket of the flood
	x.Add(int64(3 * time.Hour))
	x.want(t, "bob", 5, 3)
	x.want(t, "alice", 5, 3)
}

// A user who moves from the shared bucket to an own one keeps what was used up.
func TestAUserWhoGetsABucketLateGetsNoSecondBurst(t *testing.T) {
	t.Parallel()
	x := newTable(60, time.Hour, 10)
	x.SetMax(2)
	x.want(t, "a", 1, 1)
	x.want(t, "b", 10, 10)
	x.want(t, "late", 20, 10) // from the shared bucket
	x.Add(int64(time.Minute)) // the bucket of a is full, and its place free
	x.want(t, "late", 20, 1)
	if x.Len() != 2 {
		t.Errorf("%d buckets", x.Len())
	}
	x.want(t, "late", 20, 0)
}

// Many goroutines let through exactly the burst, also while buckets are dropped all the time.
func TestCountsAreExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	x := newTable(1, time.Hour, 500)
	x.SetMax(300)
	var let [10]atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				n := (g + i) % len(let)
				user := fmt.Sprint("user", n)
				if x.take(user) == 0 {
					let[n].Add(1)
				}
				if i%20 == 0 { // makes the table grow
					x.take(fmt.Sprint("other", g, "-", i))
				}
			}
		})
	}
	wg.Wait()
	for n := range let {
		if got := let[n].Load(); got != 500 {
			t.Errorf("%d requests of user%d let through, want 500", got, n)
		}
	}
}

// With a clock that moves, buckets are removed while others take from them.
func TestRemovedBucketsLoseNoRequest(t *testing.T) {
	t.Parallel()
	x := newTable(1000, time.Second, 1)
	x.SetMax(8)
	var let atomic.Int64
	begin := x.Load()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				if x.take("alice") == 0 {
					let.Add(1)
				}
				x.take(fmt.Sprint("other", rand.IntN(100)))
				if g == 0 && i%4 == 0 {
					x.Add(int64(300 * time.Microsecond))
				}
			}
		})
	}
	wg.Wait()
	if most := (x.Load()-begin)/int64(time.Millisecond) + 1; let.Load() > most {
		t.Errorf("%d requests let through, at most %d", let.Load(), most)
	}
}
