package reverse

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff pauses between attempts to reach a gateway. The pauses have a random length, so
// that many servers that lost their gateway together do not come back together.
type backoff struct{ min, max time.Duration }

// bound returns the longest pause after so many failures.
func (b backoff) bound(failures int) time.Duration {
	bound := b.min
	for range failures {
		if bound >= b.max/2 {
			return b.max
		}
		bound *= 2
	}
	return min(bound, b.max)
}

// pause waits for a random part of the bound. It reports false if ctx has ended.
func (b backoff) pause(ctx context.Context, failures int) bool {
	timer := time.NewTimer(rand.N(b.bound(failures) + 1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
