package ocsp

import (
	"sync"
	"time"
)

const (
	maxFailures = 5                // in a row
	openFor     = 10 * time.Second // in which nobody asks, after so many
)

// breaker keeps handshakes from waiting for a responder that is down. Its zero value
// lets everyone ask.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row
	until    time.Time
}

// closed reports whether nobody may ask now. After the rest everyone may, and the
// first failure begins another.
func (b *breaker) isOpen(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= maxFailures && now.Before(b.until)
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
