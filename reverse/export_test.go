package reverse

import "time"

// Waiting returns how many requests wait for a place.
func (g *Gateway) Waiting() int {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return g.pool.waiting
}

// Queues returns how many services the gateway remembers.
func (g *Gateway) Queues() int {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return len(g.pool.queues)
}

// Accounts returns how many callers the gateway remembers.
func (g *Gateway) Accounts() int {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return len(g.pool.accounts)
}

// BackoffBound returns the longest pause after so many failures.
func BackoffBound(min, max time.Duration, failures int) time.Duration {
	return backoff{min, max}.bound(failures)
}

// Functions for tests.
var (
	ReadServerName = readServerName
	RenewalTime    = renewalTime
)

// IsLoop reports whether one Via line belongs to a loop.
func IsLoop(line, pseudonym string) bool {
	return isLoop(map[string][]string{"Via": {line}}, pseudonym)
}
