package quota

import (
	"math"
	"sync/atomic"
	"time"
)

// Rate is how many requests a bucket lets through.
type Rate struct {
	interval int64 // nanoseconds for one request
	window   int64 // nanoseconds for a whole burst
}

// NewRate returns the rate of n requests in a time, with at most burst of them at once. All are
// positive. It rounds the time for one request up: the rate is never exceeded.
func NewRate(n int, in time.Duration, burst int) Rate {
	interval := (int64(in) + int64(n) - 1) / int64(n)
	return Rate{interval, interval * int64(burst)}
}

// Window returns the time in which an empty bucket becomes full.
func (r Rate) Window() time.Duration { return time.Duration(r.window) }

// Bucket counts by the generic cell rate algorithm (ITU-T I.371): one number is the whole state.
// The zero value is full. It is safe for concurrent use.
type Bucket struct {
	// full is the time at which the bucket is full again, in nanoseconds. A bucket that was full
	// before is as good as a new one.
	full atomic.Int64
	hash uint64
	key  string
}

// removed is the state of a bucket that is not in the table any more.
const removed = math.MinInt64

// backwards is by how much the clock may be behind the one of another processor, before it
// counts as set back.
const backwards = int64(time.Second)

// take takes one request. It returns how long to wait for the next one, 0 if this one was
// taken, and false if the bucket was removed.
func (b *Bucket) take(now int64, r Rate, clock func() int64) (wait int64, ok bool) {
	for {
		full := b.full.Load()
		if full == removed {
			return 0, false
		}
		if full > now+r.window+backwards {
			// The goroutine has slept since it read the clock, or the clock was set back, or the
			// burst was larger before. A clock that was set back by a year must not lock users
			// out for a year: the bucket is empty, and no more than that.
			if now = clock(); full > now+r.window+backwards {
				b.full.CompareAndSwap(full, now+r.window)
			}
			continue
		}
		next := max(full, now) + r.interval
		if wait := next - now - r.window; wait > 0 {
			return wait, true
		}
		if b.full.CompareAndSwap(full, next) {
			return 0, true
		}
	}
}

// Return gives one request back that Take has taken.
func (b *Bucket) Return(r Rate) {
	for {
		full := b.full.Load()
		if full == removed || b.full.CompareAndSwap(full, full-r.interval) {
			return
		}
	}
}
