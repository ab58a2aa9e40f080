package reverse

import "time"

// Waiting is how many requests wait for a tunnel.
func (g *Gateway) Waiting() int {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return g.pool.waiting
}

// Services is how many services the gateway remembers.
func (g *Gateway) Services() int {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return len(g.pool.services)
}

// BackoffBound returns the longest pause after so many failures.
func BackoffBound(min, max time.Duration, failures int) time.Duration {
	return backoff{min, max}.bound(failures)
}

// The parsers.
var (
	ReadServerName = readServerName
	ValidName      = validName
	RenewalOf      = renewalOf
)

// Looped reports what it says of one Via line.
func Looped(line, pseudonym string) bool {
	return looped(map[string][]string{"Via": {line}}, pseudonym)
}

// ReadHello returns what is read of two headers.
func ReadHello(services, streams []string) ([]string, int, error) {
	h, err := readHello(map[string][]string{headerServices: services, headerStreams: streams})
	return h.services, h.streams, err
}

// Holders is how many callers the gateway remembers.
func (g *Gateway) Holders() int {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return len(g.pool.accounts)
}
