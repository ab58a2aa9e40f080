package outbound

import (
	"sync/atomic"
	"time"
)

// clock is the wall clock for one reading of the monotonic one, which costs half as
// much. It is set again every second, so that it follows the wall clock's steps.
type clock struct {
	given  func() time.Time // asked instead, if there is one
	start  time.Time
	set    atomic.Int64 // when, in nanoseconds since start; 0 is never
	offset atomic.Int64 // Unix nanoseconds at start, as far as the last setting knows
}

func newClock(given func() time.Time) *clock { return &clock{given: given, start: time.Now()} }

// now returns Unix nanoseconds.
func (c *clock) now() int64 {
	if c.given != nil {
		return c.given().UnixNano()
	}
	since := int64(time.Since(c.start))
	if last := c.set.Load(); last == 0 || since-last > int64(time.Second) {
		c.offset.Store(time.Now().UnixNano() - since)
		c.set.Store(max(since, 1))
	}
	return c.offset.Load() + since
}
