package testkit

import (
	"time"
	"unsafe"
)

// SetBack returns what time.Now would have returned in place of t, if the system's clock had been set
// back by whole seconds since the process began. The monotonic clock, which t must have, is the same.
func SetBack(t time.Time, by time.Duration) time.Time {
	const hasMonotonic = 1 << 63
	wall := (*uint64)(unsafe.Pointer(&t)) // nanoseconds in 30 bits, and above them seconds
	if *wall&hasMonotonic == 0 {
		panic("testkit: the time has no monotonic clock")
	}
	*wall -= uint64(by/time.Second) << 30
	return t
}
