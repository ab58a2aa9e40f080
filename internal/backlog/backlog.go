// Package backlog hands values to one goroutine, which exists only while there is
// something to hand over. Offering never waits: beyond the bound a value is dropped
// and counted.
package backlog

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Queue is a bounded backlog. It is safe for concurrent use.
type Queue[T any] struct {
	do   func(T)
	most int

	mu      sync.Mutex
	waiting []T
	running bool
	taken   uint64   // values, ever
	done    uint64   // of these, handed over
	waiters []waiter // in the order of what they wait for
	dropped atomic.Uint64
}

// waiter waits until so many values are handed over.
type waiter struct {
	until uint64
	done  chan struct{}
}

// New returns a queue of at most so many values. They are given to do one after the
// other, in order.
func New[T any](most int, do func(T)) *Queue[T] {
	return &Queue[T]{do: do, most: most}
}

// Offer queues a value, or drops it and reports false.
func (q *Queue[T]) Offer(v T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.most {
		q.dropped.Add(1)
		return false
	}
	q.waiting = append(q.waiting, v)
	q.taken++
	if !q.running {
		q.running = true
		go q.run()
	}
	return true
}

func (q *Queue[T]) run() {
	var batch []T
	for {
		q.mu.Lock()
		q.done += uint64(len(batch))
		for len(q.waiters) > 0 && q.waiters[0].until <= q.done {
			close(q.waiters[0].done)
			q.waiters = q.waiters[1:]
		}
		clear(batch) // what was handed over is not kept alive
		if len(q.waiting) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		batch, q.waiting = q.waiting, batch[:0]
		q.mu.Unlock()
		for i := range batch {
			q.do(batch[i])
		}
	}
}

// Dropped is the number of values that found no place.
func (q *Queue[T]) Dropped() uint64 { return q.dropped.Load() }

// Wait waits until what is queued now is handed over, whatever comes after it, and
// reports whether that was within d.
func (q *Queue[T]) Wait(d time.Duration) bool {
	q.mu.Lock()
	if q.done == q.taken {
		q.mu.Unlock()
		return true
	}
	w := waiter{until: q.taken, done: make(chan struct{})}
	q.waiters = append(q.waiters, w)
	q.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.done:
		return true
	case <-timer.C:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiters = slices.DeleteFunc(q.waiters, func(other waiter) bool { return other.done == w.done })
	return q.done >= w.until
}
