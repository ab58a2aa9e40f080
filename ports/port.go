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
// while it serves.
type Port struct {
	name  string
	state atomic.Pointer[state]
	slots *connlimit.Counter // connections, over all and by address
	gate  *gate              // handshakes that compute

	handshakeBytes atomic.Int64 // read in handshakes that are not over

	clock atomic.Int64 // of the last sweep, since epoch; negative while nobody sweeps

	changing sync.Mutex // one Reconfigure at a time
	checker  underway.Checker
	sweeping sync.Mutex // one sweep at a time

	mu      sync.Mutex
	conns   map[*Conn]struct{}
	addr    net.Addr
	changed chan struct{} // closed and replaced when the HTTP limits change
}

// New builds a port. It does not listen yet. Every mistake is reported at once.
func New(c Config) (*Port, error) {
	c.Limits = c.Limits.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	s, err := newState(c)
	if err != nil {
		return nil, err
	}
	p := &Port{name: c.Name, conns: map[*Conn]struct{}{}, changed: make(chan struct{}), gate: newGate(c.Limits.Handshakes)}
	p.slots = connlimit.New(c.Limits.Connections, c.Limits.PerIP)
	p.clock.Store(-1) // nobody sweeps yet
	p.state.Store(s)
	return p, nil
}

// Name is the port's name.
func (p *Port) Name() string { return p.name }

// Config returns what is in force.
func (p *Port) Config() Config { return p.state.Load().config }

// Addr is the address that the port listens on, or nil before Listen.
func (p *Port) Addr() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// ErrRestart is what Reconfigure answers to a change that an open port cannot
// make: of its name, its address or its mode.
var ErrRestart = errors.New("a change of a port's name, address or mode needs a restart")

// Reconfigure puts another configuration in force: certificate, trust, limits,
// everything but name, address and mode. A bad one leaves the old in force. The
// next handshakes use the new state with new session-ticket keys; connections
// that the new trust does not believe are closed within a second, idle ones at
// once, those in the middle of a request when they have answered or the second is
// over.
func (p *Port) Reconfigure(c Config) error {
	c.Limits = c.Limits.withDefaults()
	p.changing.Lock()
	defer p.changing.Unlock()
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
	p.slots.SetMost(c.Limits.Connections, c.Limits.PerIP)
	p.gate.setMost(c.Limits.Handshakes)
	if c.Limits != old.config.Limits {
		p.mu.Lock()
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
	p.recheck(func(*Conn) bool { return true })
	return nil
}

// connections are those whose handshake is finished.
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

// Open is the number of open connections.
func (p *Port) ConnCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}
