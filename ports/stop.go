package ports

import (
	"context"
	"slices"
	"time"
)

// stopAccepting accepts no more connections, and waits for those that are just beginning, at most
// until ctx ends. Otherwise a restart would lose them.
func (l *listener) stopAccepting(ctx context.Context) {
	l.draining.Store(true)
	l.inner.Close()
	l.port.connLimit.Wake()
	select {
	case <-l.accepting: // from here on no handshake begins
	case <-ctx.Done():
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for (l.underWay.Load() > 0 || l.port.expectsRequests()) && ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// expectsRequests reports whether the first request of a new connection is due: after
// http.Server.Shutdown net/http closes such a connection when it has read the request, and HTTP/2
// refuses it with a GOAWAY, which not every client repeats.
func (p *Port) expectsRequests() bool {
	return slices.ContainsFunc(p.connections(), func(c *Conn) bool {
		return !c.used.Load() && time.Since(c.openedAt) < firstByte
	})
}

// refusesMore reports whether no more connections are accepted.
func (l *listener) refusesMore() bool { return l.draining.Load() || l.stopped() }

// closeUnfinished closes the connections whose handshake is under way.
func (p *Port) closeUnfinished() { p.closeWhere(func(c *Conn) bool { return !c.established.Load() }) }

// closeSilent closes the connections whose client has sent nothing of its handshake.
func (p *Port) closeSilent() {
	p.closeWhere(func(c *Conn) bool { return !c.established.Load() && !c.raw.begun.Load() })
}

func (p *Port) closeWhere(which func(*Conn) bool) {
	p.mu.Lock()
	var found []*Conn
	for c := range p.conns {
		if which(c) {
			found = append(found, c)
		}
	}
	p.mu.Unlock()
	for _, c := range found {
		c.raw.Close()
	}
}
