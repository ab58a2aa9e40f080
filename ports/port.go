package ports

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/internal/connlimit"
	"github.com/mtlsguard/mtlsguard/internal/underway"
)

// Port is one TLS port. It is safe for concurrent use; Reconfigure changes it
// while it serves. The zero value is not usable: call New.
type Port struct {
	name       string
	state      atomic.Pointer[state]
	connLimit  *connlimit.Counter // counts connections, in total and by address
	handshakes *limiter           // bounds the handshakes that compute

	handshakeBytes atomic.Int64 // read in handshakes that are under way

	sweepClock atomic.Int64 // time of the last sweep, since epoch; negative while no sweep runs

	reconfiguring sync.Mutex // one Reconfigure at a time
	checker       underway.Checker
	sweeping      sync.Mutex // one sweep at a time

	listening sync.Mutex // one Listen at a time

	mu            sync.Mutex
	listener      *listener // the last one; nil before Listen
	conns         map[*Conn]struct{}
	addr          net.Addr
	spoken        atomic.Pointer[[]string] // the HTTP protocols that the http.Server supports; nil: all
	limitsChanged chan struct{}            // closed and replaced when the HTTP limits change
}

// New builds a port. It does not listen yet. The error lists everything that is wrong with the
// configuration.
func New(c Config) (*Port, error) {
	c.Limits = c.Limits.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	s, err := newState(c)
	if err != nil {
		return nil, err
	}
	p := &Port{name: c.Name, conns: map[*Conn]struct{}{}, limitsChanged: make(chan struct{}), handshakes: newLimiter(c.Limits.Handshakes)}
	p.connLimit = connlimit.New(c.Limits.Connections, c.Limits.PerIP)
	p.sweepClock.Store(-1) // no sweep runs yet
	p.state.Store(s)
	return p, nil
}

// Name returns the port's name.
func (p *Port) Name() string { return p.name }

// Config returns the current configuration, with the defaults filled in.
func (p *Port) Config() Config { return p.state.Load().config }

// Addr returns the address that the port listens on, or nil before Listen.
func (p *Port) Addr() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// ErrRestart is the error of Reconfigure for a change that an open port cannot
// make: of its name, its address or its mode.
var ErrRestart = errors.New("a change of a port's name, address or mode needs a restart")

// Reconfigure replaces the configuration: certificate, trust, limits, everything but name,
// address and mode, for which the error is ErrRestart. An error leaves the current
// configuration in effect. The next handshakes use the new configuration and new
// session-ticket keys. A connection whose certificate the new trust does not verify, or whose
// address is not accepted any more, is closed within a second: soon if it is idle, otherwise when its answer is complete or the second
// is over.
func (p *Port) Reconfigure(c Config) error {
	c.Limits = c.Limits.withDefaults()
	p.reconfiguring.Lock()
	defer p.reconfiguring.Unlock()
	old := p.state.Load()
	if c.Name != old.config.Name || c.Addr != old.config.Addr || c.ClientAuth != old.config.ClientAuth {
		return fmt.Errorf("ports: %s: %w", p.name, ErrRestart)
	}
	if err := c.check(); err != nil {
		return err
	}
	s, err := newState(c)
	if err != nil {
		return err
	}
	p.state.Store(s)
	p.connLimit.SetMost(c.Limits.Connections, c.Limits.PerIP)
	p.handshakes.setLimit(c.Limits.Handshakes)
	if c.Limits != old.config.Limits {
		p.mu.Lock()
		close(p.limitsChanged)
		p.limitsChanged = make(chan struct{})
		p.mu.Unlock()
	}
	p.recheck(func(*Conn) bool { return true })
	return nil
}

// connections returns the connections whose handshake is finished.
func (p *Port) connections() []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*Conn, 0, len(p.conns))
	for c := range p.conns {
		if c.established.Load() {
			out = append(out, c)
		}
	}
	return out
}

// closeAll closes every connection, hijacked ones and unfinished handshakes too.
func (p *Port) closeAll() {
	p.mu.Lock()
	all := make([]*Conn, 0, len(p.conns))
	for c := range p.conns {
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		c.raw.Close()
	}
}

// ConnCount returns the number of open connections, with those in a handshake.
func (p *Port) ConnCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}
