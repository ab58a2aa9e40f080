// Package backlog hands values to one goroutine, which ends when there has been
// nothing to hand over for a while. Offering never waits: beyond the bound a value is
// dropped and counted.
package backlog

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Queue is a bounded backlog. It is safe for concurrent use.
type Queue[T any] struct {
	do   func([]T)
	most int

	mu      sync.Mutex
	waiting []T
	running bool
	asleep  bool // running, and to be woken
	wake    chan struct{}
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

// New returns a queue of at most so many values. They are given to do in order, as
// many at a time as have come meanwhile; the slice is do's until it returns.
func New[T any](most int, do func([]T)) *Queue[T] {
	return &Queue[T]{do: do, most: most, wake: make(chan struct{}, 1)}
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
	switch {
	case !q.running:
		q.running = true
		go q.run()
	case q.asleep:
		q.asleep = false
		q.wake <- struct{}{} // there is room: whoever sleeps is woken once
	}
	return true
}

// linger is how long the goroutine waits for more before it ends: a new one for
// every value would cost more than the value.
const linger = time.Second

func (q *Queue[T]) run() {
	var batch []T
	idle := time.NewTimer(linger)
	defer idle.Stop()
	for {
		runtime.Gosched() // let those who have something to say say it: more goes at once
		q.mu.Lock()
		q.done += uint64(len(batch))
		for len(q.waiters) > 0 && q.waiters[0].until <= q.done {
			close(q.waiters[0].done)
			q.waiters = q.waiters[1:]
		}
		clear(batch) // what was handed over is not kept alive
		if len(q.waiting) == 0 {
			batch = batch[:0]
			q.asleep = true
			q.mu.Unlock()
			idle.Reset(linger)
			select {
			case <-q.wake:
				continue
			case <-idle.C:
			}
			q.mu.Lock()
			if q.asleep {
				q.asleep, q.running = false, false
				q.mu.Unlock()
				return
			}
			q.mu.Unlock()
			<-q.wake // somebody was faster
			continue
		}
		batch, q.waiting = q.waiting, batch[:0]
		q.mu.Unlock()
		q.do(batch)
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
