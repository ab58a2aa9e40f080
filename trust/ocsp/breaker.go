package ocsp

import (
	"sync"
	"time"
)

const (
	maxFailures = 5                // in a row, until the breaker opens
	openFor     = 10 * time.Second // after the last failure
)

// breaker prevents that handshakes wait for a responder that is down. Its zero value is
// closed: requests may be sent.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row
	until    time.Time
}

// isOpen reports whether no request may be sent now. After openFor, or if the clock was set back, requests may
// be sent again, and the first failure opens the breaker again.
func (b *breaker) isOpen(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= maxFailures && now.Before(b.until) && !now.Before(b.until.Add(-openFor-backwards))
}

func (b *breaker) countFailure(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = min(b.failures+1, maxFailures)
	b.until = now.Add(openFor)
}

func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
}
