// Package backlog hands values to a goroutine, which runs only while there are any.
package backlog

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Queue is a bounded backlog. Values are handed over in the order in which they were queued.
// It is safe for concurrent use.
//
// A mutex guards two slices that change places. It is held for some 20 ns: on two cores a
// ring with reserved slots (the slot is one atomic addition) took as long for each value,
// from the caller to the goroutine, 280 to 340 ns with either.
type Queue[T any] struct {
	bounds Bounds
	size   func(T) int
	do     func([]T)

	mu      sync.Mutex
	waiting []T
	spare   []T           // memory of an earlier waiting
	held    int           // sizes of the values that are waiting or being handed over
	running bool          // run runs, or pausing will start it
	ended   time.Time     // of the last run
	pausing *time.Timer   // starts run at the end of a pause
	began   time.Time     // of the last call of do; zero before the first of a run
	room    chan struct{} // closed when there may be room; nil: no goroutine waits for it
	taken   uint64        // values, ever
	done    uint64        // of these, handed over
	waiters []waiter      // in the order of what they wait for
	dropped atomic.Uint64
}

// Bounds are the limits of a queue, in the unit of the sizes of its values.
type Bounds struct {
	Most  int           // all values together; a single larger one is accepted by an empty queue
	Batch int           // values that are handed over together; a larger one is handed over alone
	Wait  time.Duration // how long Put waits for room
}

// waiter waits until so many values are handed over.
type waiter struct {
	until uint64
	done  chan struct{}
}

// New returns a queue. do gets as many values at a time as have come meanwhile; the slice
// is do's until it returns. A nil size means 1 for each value.
func New[T any](b Bounds, size func(T) int, do func([]T)) *Queue[T] {
	if size == nil {
		size = func(T) int { return 1 }
	}
	return &Queue[T]{bounds: b, size: size, do: do}
}

// Offer queues a value. If there is no room, it drops the value and reports false. It never
// waits.
func (q *Queue[T]) Offer(v T) bool {
	size := q.size(v)
	q.mu.Lock()
	return q.addAndUnlock(v, size)
}

// Put queues a value. While there is no room it waits for it, at most Bounds.Wait. It does not
// wait at all if do has not returned for that time: a sink that hangs holds up each caller
// once at most. A value without room is dropped, and Put reports false.
func (q *Queue[T]) Put(v T) bool {
	size := q.size(v)
	q.mu.Lock()
	if !q.fits(size) {
		q.waitForRoom(size)
	}
	return q.addAndUnlock(v, size)
}

func (q *Queue[T]) fits(size int) bool { return q.held == 0 || q.held+size <= q.bounds.Most }

// addAndUnlock queues a value that fits, and drops another.
func (q *Queue[T]) addAndUnlock(v T, size int) bool {
	fits := q.fits(size)
	if fits {
		q.waiting = append(q.waiting, v)
		q.held += size
		q.taken++
		if !q.running {
			q.start()
		} else if full := q.bounds.Batch; q.held >= full && q.held-size < full {
			q.endPause()
		}
	}
	q.mu.Unlock()
	if !fits {
		q.dropped.Add(1)
	}
	return fits
}

// waitForRoom returns when a value of a size fits, or when it has waited for too long. It gives the
// lock up while it waits.
func (q *Queue[T]) waitForRoom(size int) {
	end := time.Now().Add(q.bounds.Wait)
	for !q.fits(size) {
		left := time.Until(end)
		if !q.began.IsZero() {
			left = min(left, time.Until(q.began.Add(q.bounds.Wait)))
		}
		if left <= 0 {
			return
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		q.endPause()
		room, timer := q.room, time.NewTimer(left)
		q.mu.Unlock()
		select {
		case <-room:
		case <-timer.C:
		}
		timer.Stop()
		q.mu.Lock()
	}
}

// run hands over values until less than a batch is left. The rest waits for the end of a pause.
func (q *Queue[T]) run() {
	runtime.Gosched() // lets the caller that queued the first value go on
	for first := true; ; first = false {
		now := time.Now()
		q.mu.Lock()
		if !first && q.held < q.bounds.Batch {
			q.ended, q.began = now, time.Time{}
			q.running = len(q.waiting) > 0
			if q.running {
				q.runAfter(pause)
			}
			q.mu.Unlock()
			return
		}
		q.began = now
		all := q.waiting
		q.waiting, q.spare = q.spare, nil
		q.mu.Unlock()
		for rest := all; len(rest) > 0; {
			n, size := q.batch(rest)
			q.do(rest[:n])
			rest = rest[n:]
			q.handedOver(n, size)
		}
		clear(all) // what was handed over is not kept alive
		q.mu.Lock()
		q.spare = all[:0]
		q.mu.Unlock()
	}
}

// batch returns how many of the values are handed over together, and their size.
func (q *Queue[T]) batch(all []T) (n, size int) {
	for _, v := range all {
		if more := q.size(v); n == 0 || size+more <= q.bounds.Batch {
			n, size = n+1, size+more
			continue
		}
		break
	}
	return n, size
}

// handedOver makes room, and wakes the callers that wait for it.
func (q *Queue[T]) handedOver(n, size int) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done += uint64(n)
	q.held -= size
	q.began = now
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	for len(q.waiters) > 0 && q.waiters[0].until <= q.done {
		close(q.waiters[0].done)
		q.waiters = q.waiters[1:]
	}
}

// Dropped is the number of values that found no room.
func (q *Queue[T]) Dropped() uint64 { return q.dropped.Load() }

// mostWaits bounds Wait, in times of its argument.
const mostWaits = 5

// Wait waits until what is queued now is handed over, whatever comes after it, and reports
// whether it is. It gives up when nothing was handed over for d, and after mostWaits × d.
func (q *Queue[T]) Wait(d time.Duration) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.done == q.taken {
		return true
	}
	q.endPause()
	w := waiter{until: q.taken, done: make(chan struct{})}
	q.waiters = append(q.waiters, w)
	for range mostWaits {
		before, timer := q.done, time.NewTimer(d)
		q.mu.Unlock()
		select {
		case <-w.done:
		case <-timer.C:
		}
		timer.Stop()
		q.mu.Lock()
		if q.done >= w.until {
			return true // and handedOver has removed w
		}
		if q.done == before {
			break
		}
	}
	q.waiters = slices.DeleteFunc(q.waiters, func(other waiter) bool { return other.done == w.done })
	return false
}
