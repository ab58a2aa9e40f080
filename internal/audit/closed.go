package audit

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// closedDelay is how long connections are counted before they are logged: those of one user
// are closed at nearly the same time, and get one line.
const closedDelay = time.Second

// maxClosed bounds the lines about closed connections that are written together. The
// connections beyond it are counted by port and reason, without their user.
const maxClosed = 100

// closedCounter counts the connections that were closed since the last lines. The zero value is
// ready.
type closedCounter struct {
	mu      sync.Mutex
	groups  map[closedKey]*closedGroup
	pending bool // a timer will log
	begun   int  // groups so far
}

type closedKey struct {
	port, reason, user string
	fingerprint        trust.Digest
}

type closedGroup struct {
	first ports.Closed
	order int
	count uint64
}

// LogClosed logs that a connection was closed because its certificate is not trusted, or its
// address not accepted, any more. One line stands for all connections of a user, certificate, port and reason.
func (e *Logger) LogClosed(c ports.Closed) {
	if !e.Enabled(slog.LevelWarn) {
		return
	}
	key := closedKey{port: c.Port, reason: string(c.Reason), user: c.User}
	if c.Leaf != nil {
		key.fingerprint = trust.FingerprintOf(c.Leaf)
	}
	n := &e.closed
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.groups == nil {
		n.groups = map[closedKey]*closedGroup{}
	}
	g := n.groups[key]
	if g == nil && len(n.groups) >= maxClosed {
		key = closedKey{port: c.Port, reason: string(c.Reason)} // bounded: ports times reasons
		c = ports.Closed{Port: c.Port, Reason: c.Reason}
		g = n.groups[key]
	}
	if g == nil {
		n.begun++
		g = &closedGroup{first: c, order: n.begun}
		n.groups[key] = g
	}
	g.count++
	if !n.pending {
		n.pending = true
		time.AfterFunc(closedDelay, e.logClosed)
	}
}

// logClosed writes the lines about the connections that were counted.
func (e *Logger) logClosed() {
	n := &e.closed
	n.mu.Lock()
	groups := slices.SortedFunc(maps.Values(n.groups), func(a, b *closedGroup) int { return cmp.Compare(a.order, b.order) })
	n.groups, n.pending, n.begun = nil, false, 0
	n.mu.Unlock()
	for _, g := range groups {
		var r record
		r.add("event", "closed") // no outcome: it is not the answer to a request
		r.add("reason", string(g.first.Reason))
		r.add("port", g.first.Port)
		r.add("remote", remote(g.first.Remote)) // of the first
		r.add("via_proxy", remote(g.first.Proxy))
		r.add("user", g.first.User)
		if leaf := g.first.Leaf; leaf != nil {
			r = append(r, recordOf(leaf, trust.FingerprintOf(leaf))...)
		}
		r.number("count", g.count)
		if g.first.Err != nil {
			r.add("error", errorText(g.first.Err))
		}
		message := "closed: the certificate is not trusted any more"
		if g.first.Reason == reason.Address {
			message = "closed: the address is not accepted any more"
		}
		e.enqueue(slog.LevelWarn, message, r, e.generation.Load())
	}
}
