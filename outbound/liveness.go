package outbound

import (
	"net/http"
	"sync/atomic"
	"time"
)

// A peer can vanish without closing: a firewall forgets the connection, a host loses
// power. An HTTP/2 connection then goes on taking calls that are never answered. Pings find
// that after Ping and PingTimeout, and close the connection. A call with a shorter deadline
// finds it sooner: after it has failed, the next call uses a new connection.

const (
	defaultPing        = 5 * time.Second
	defaultPingTimeout = 5 * time.Second
	// suspectAfter is the time that a call must have waited on a silent connection before
	// its failure makes the connection suspect: callers also give up for reasons of their
	// own.
	suspectAfter = 500 * time.Millisecond
)

// setPings configures pings for HTTP/2, unless Base does.
func (c *Config) setPings(base *http.Transport) {
	own := http.HTTP2Config{}
	if base.HTTP2 != nil {
		own = *base.HTTP2 // a copy: the caller's must not change
	}
	base.HTTP2 = &own
	if own.SendPingTimeout == 0 {
		own.SendPingTimeout = max(c.Ping, 0) // for net/http, 0 means no pings
	}
	if own.PingTimeout == 0 {
		own.PingTimeout = c.PingTimeout
	}
}

// epoch is the start of the times of connections.
var epoch = time.Now()

func sinceEpoch() int64 { return int64(time.Since(epoch)) }

// activity records when data arrived on a connection, in nanoseconds since epoch.
type activity struct {
	origin   atomic.Pointer[string] // of an HTTP/2 connection; nil for others
	lastRead atomic.Int64
	waiting  atomic.Int64 // the start of the first call that has failed since lastRead
	closed   atomic.Bool
}

// silentFor returns how long a failed call has waited without any data: the call that began
// at began, or an earlier one that failed since the last data.
func (a *activity) silentFor(began, now int64) time.Duration {
	last := a.lastRead.Load()
	since := a.waiting.Load()
	if since <= last {
		since = max(began, last)
		a.waiting.Store(since)
	}
	return time.Duration(now - since)
}

// suspect is a connection that was silent while a call waited.
type suspect struct {
	conn     *conn
	lastRead int64
}

// markSuspect looks, after a call to origin has failed, for a connection whose peer may
// have vanished.
func (p *pool) markSuspect(origin string, began int64) {
	now := sinceEpoch()
	p.conns.mu.Lock()
	defer p.conns.mu.Unlock()
	for c := range p.conns.open {
		if o := c.origin.Load(); o != nil && *o == origin && c.silentFor(began, now) >= suspectAfter {
			p.suspect.Store(&suspect{c, c.lastRead.Load()})
			return
		}
	}
}

// hasSuspect reports whether the pool's suspect is still silent. After the first call that
// fails net/http sends a ping, which a live peer answers. It sends no other until the peer
// answers a call: if calls only fail for suspectAfter, a live connection is suspect too. Then
// the next call dials, and those in progress continue.
func (p *pool) hasSuspect() bool {
	s := p.suspect.Load()
	if s == nil {
		return false
	}
	if s.conn.closed.Load() || s.conn.lastRead.Load() != s.lastRead {
		p.suspect.CompareAndSwap(s, nil)
		return false
	}
	return true
}
