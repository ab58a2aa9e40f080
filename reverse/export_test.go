package reverse

import "time"

// Waiting returns the number of requests that wait for a place.
func (g *Gateway) Waiting() int {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return g.pool.waiting
}

// Queues returns the number of services that the gateway remembers.
func (g *Gateway) Queues() int {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return len(g.pool.queues)
}

// Accounts returns the number of callers that the gateway remembers.
func (g *Gateway) Accounts() int {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return len(g.pool.accounts)
}

// BackoffBound returns the longest pause after a number of failures.
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
