package ports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/mtlsguard/mtlsguard/internal/systemd"
)

// Listen opens the port's address. The connections that it accepts are *tls.Conn
// whose handshake is finished. Cancelling ctx does not close the listener; closing
// it ends handshakes that are under way, and leaves accepted connections alone. A port that
// listens already is an error.
func (p *Port) Listen(ctx context.Context) (net.Listener, error) {
	p.listening.Lock()
	defer p.listening.Unlock()
	if addr := p.openAddr(); addr != nil {
		return nil, fmt.Errorf("ports: %s: the port listens on %s already: close that listener first, or create another port", p.name, addr)
	}
	inner, err := p.open(ctx)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("ports: %s: %w (another program listens there: stop it, or change listen in the file, Addr in code)", p.name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ports: %s: %w", p.name, err)
	}
	return p.Wrap(inner), nil
}

// open returns the plain listener of the port.
func (p *Port) open(ctx context.Context) (net.Listener, error) {
	c := &p.state.Load().config
	if name, ok := strings.CutPrefix(c.Addr, systemd.Prefix); ok && c.Listen == nil {
		return systemd.Listen(name)
	}
	if c.Listen == nil {
		var lc net.ListenConfig
		inner, err := lc.Listen(ctx, "tcp", c.Addr)
		if own, ok := inner.(*net.TCPListener); ok && err == nil {
			return tcpListener{own}, nil
		}
		return inner, err
	}
	inner, err := c.Listen(ctx, c.Addr)
	switch _, ofPort := inner.(*listener); {
	case err != nil:
		return nil, err
	case inner == nil:
		return nil, errors.New("Listen returned no listener and no error")
	case ofPort:
		return nil, errors.New("Listen returned the listener of a port: return a plain one, without TLS")
	}
	return inner, nil
}

// Listening reports whether the port has a listener that is not closed.
func (p *Port) Listening() bool { return p.openAddr() != nil }

// openAddr returns the address of a listener that is not closed, or nil.
func (p *Port) openAddr() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil || p.listener.stopped() {
		return nil
	}
	return p.addr
}

// errEncrypted is the error of every connection of a listener that does TLS itself: nothing is
// known about the certificate that its client may have presented there.
var errEncrypted = errors.New("the listener of the port does TLS itself: give the port a plain listener")
