package reverse

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff bounds the pauses between attempts to reach a gateway. Each pause is any
// time up to a bound that doubles from Min to Max, so that a crowd of servers that
// lost their gateway together does not come back together.
type Backoff struct {
	Min time.Duration // 500 ms
	Max time.Duration // 30 s
}

const (
	defaultMin = 500 * time.Millisecond
	defaultMax = 30 * time.Second
)

// bound is how long the pause after so many failures may be.
func (b Backoff) bound(failures int) time.Duration {
	bound := b.Min
	for range failures {
		if bound >= b.Max/2 {
			return b.Max
		}
		bound *= 2
	}
	return min(bound, b.Max)
}

// pause waits, and reports whether ctx let it.
func (b Backoff) pause(ctx context.Context, failures int) bool {
	timer := time.NewTimer(rand.N(b.bound(failures) + 1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
