// Package backlog hands values to one goroutine, which exists only while there is
// something to hand over. Offering never waits: beyond the bound a value is dropped
// and counted.
package backlog

import (
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
	idle    chan struct{} // closed when the goroutine ends; replaced when one begins
	dropped atomic.Uint64
}

// New returns a queue of at most so many values. They are given to do one after the
// other, in order.
func New[T any](most int, do func(T)) *Queue[T] {
	idle := make(chan struct{})
	close(idle)
	return &Queue[T]{do: do, most: most, idle: idle}
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
	if !q.running {
		q.running, q.idle = true, make(chan struct{})
		go q.run()
	}
	return true
}

func (q *Queue[T]) run() {
	var batch []T
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.running = false
			close(q.idle)
			q.mu.Unlock()
			return
		}
		batch, q.waiting = q.waiting, batch[:0]
		q.mu.Unlock()
		for i := range batch {
			q.do(batch[i])
		}
		clear(batch) // what was handed over is not kept alive
	}
}

// Dropped is the number of values that found no place.
func (q *Queue[T]) Dropped() uint64 { return q.dropped.Load() }

// Wait waits until nothing is left to hand over, and reports whether that was
// within d.
func (q *Queue[T]) Wait(d time.Duration) bool {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}
