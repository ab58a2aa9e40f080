package ocsp

import (
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// Stats counts the queries of a Client since New.
type Stats struct {
	Asked        uint64    // requests that were sent
	Answered     uint64    // those whose answer was accepted: good or revoked
	Cached       int       // answers in memory, failures apart
	LastAnswered time.Time // zero: never
	LastError    string    // of the last request; empty if it was answered
}

// counters are the part of Stats that requests change.
type counters struct {
	mu sync.Mutex
	Stats
}

// count counts a request that was sent, and its result.
func (c *counters) count(now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Asked++
	if err != nil {
		c.LastError = escape.Printable(err.Error(), maxStatsError)
		return
	}
	c.Answered++
	c.LastAnswered, c.LastError = now, ""
}

const maxStatsError = 256 // bytes

// Stats returns the counts so far. It is safe for concurrent use.
func (c *Client) Stats() Stats {
	c.counters.mu.Lock()
	defer c.counters.mu.Unlock()
	out := c.counters.Stats
	out.Cached = c.answers.Len()
	return out
}
