package outbound

import (
	"net/http"
	"sync/atomic"
	"time"
)

// A peer that vanishes without a word (a firewall that forgets the connection, a host
// without power) leaves an HTTP/2 connection that takes calls and never answers. Pings
// find it after Ping and PingTimeout, and end it. Calls with a shorter deadline find it
// sooner: after the first one that has failed in vain, the next uses new connections.

const (
	defaultPing        = 5 * time.Second
	defaultPingTimeout = 5 * time.Second
	// silentTime is how long a call must have waited on a connection from which nothing
	// came, until its failure makes the connection suspect. Callers give up for reasons
	// of their own.
	silentTime = 500 * time.Millisecond
)

// pings turns them on for HTTP/2, unless Base says something about them.
func (c *Config) pings(base *http.Transport) {
	own := http.HTTP2Config{}
	if base.HTTP2 != nil {
		own = *base.HTTP2 // the caller's stays as it is
	}
	base.HTTP2 = &own
	if own.SendPingTimeout == 0 {
		own.SendPingTimeout = max(c.Ping, 0) // 0 is none to net/http
	}
	if own.PingTimeout == 0 {
		own.PingTimeout = c.PingTimeout
	}
}

// epoch is what times of connections are counted from.
var epoch = time.Now()

func sinceEpoch() int64 { return int64(time.Since(epoch)) }

// activity is when a connection was read from, in nanoseconds since epoch.
type activity struct {
	origin  atomic.Pointer[string] // of an HTTP/2 connection; nil for all others
	last    atomic.Int64           // when something was read
	waiting atomic.Int64           // when the first of the calls began that have failed since
	closed  atomic.Bool
}

// silentFor is how long a call that began at began, or one that failed before it, has
// waited in vain.
func (a *activity) silentFor(began, now int64) time.Duration {
	last := a.last.Load()
	since := a.waiting.Load()
	if since <= last {
		since = max(began, last)
		a.waiting.Store(since)
	}
	return time.Duration(now - since)
}

// suspect is a connection from which nothing has come while a call waited.
type suspect struct {
	conn *conn
	last int64
}

// noteFailure looks, when a call has failed, for a connection whose peer may be gone.
func (p *pool) noteFailure(origin string, began int64) {
	now := sinceEpoch()
	p.conns.mu.Lock()
	defer p.conns.mu.Unlock()
	for c := range p.conns.open {
		if o := c.origin.Load(); o != nil && *o == origin && c.silentFor(began, now) >= silentTime {
			p.suspect.Store(&suspect{c, c.last.Load()})
			return
		}
	}
}

// hasSuspect reports whether nothing has come from a suspect since: net/http has sent a
// ping behind the call that failed.
func (p *pool) hasSuspect() bool {
	d := p.suspect.Load()
	if d == nil {
		return false
	}
	if d.conn.closed.Load() || d.conn.last.Load() != d.last {
		p.suspect.CompareAndSwap(d, nil)
		return false
	}
	return true
}
