// Package chanlisten has listeners whose connections the program itself hands over: it
// has accepted, dialled or unpacked them, and an http.Server is to serve them.
package chanlisten

import (
	"context"
	"net"
	"sync"
)

// Listener is a net.Listener over a channel. It must come from New. It is safe for
// concurrent use.
type Listener struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	close func()
}

// New returns a listener that says it listens at addr.
func New(addr net.Addr) *Listener {
	l := &Listener{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.done) })
	return l
}

// Hand waits until somebody accepts c. The error is net.ErrClosed for a listener that is
// closed, or that of ctx; c is still the caller's then.
func (l *Listener) Hand(ctx context.Context, c net.Conn) error {
	select {
	case <-l.done: // else a closed listener with somebody in Accept could take one more
		return net.ErrClosed
	default:
	}
	select {
	case l.conns <- c:
		return nil
	case <-l.done:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Accept returns the next connection, or net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Hand. Connections that were accepted stay open.
func (l *Listener) Close() error {
	l.close()
	return nil
}

// Done is closed by Close.
func (l *Listener) Done() <-chan struct{} { return l.done }

// Addr is the address that New was given.
func (l *Listener) Addr() net.Addr { return l.addr }
