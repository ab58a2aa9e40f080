package backlog

import "time"

// pause is the least time between two runs: while many values come, they are handed over
// together, some 60 log lines in one Write instead of 8. Values that make a batch do not wait for
// its end, and neither does the first value after a quiet time.
const pause = time.Millisecond

// start starts run, after the pause if the last run has just ended. q.mu is locked.
func (q *Queue[T]) start() {
	q.running = true
	if left := pause - time.Since(q.ended); left > 0 && q.held < q.bounds.Batch {
		q.runAfter(left)
		return
	}
	go q.run() // a goroutine for each burst costs no more than waking one that sleeps
}

// runAfter starts run after a time. Nothing sleeps meanwhile: a timer keeps no goroutine. q.mu is
// locked.
func (q *Queue[T]) runAfter(d time.Duration) {
	if q.pausing == nil {
		q.pausing = time.AfterFunc(d, q.run)
		return
	}
	q.pausing.Reset(d)
}

// endPause starts run now if it waits for the end of a pause. q.mu is locked.
func (q *Queue[T]) endPause() {
	if q.pausing != nil && q.pausing.Stop() {
		go q.run()
	}
}
