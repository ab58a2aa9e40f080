//go:build !linux

package testkit

import (
	"testing"
	"time"
)

// ProcessorTime returns the time that f takes. On Linux it is the processor time of the thread.
func ProcessorTime(tb testing.TB, f func()) time.Duration {
	tb.Helper()
	start := time.Now()
	f()
	return time.Since(start)
}
