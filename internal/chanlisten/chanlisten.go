// Package chanlisten has listeners whose connections the program itself hands over, after it
// has accepted or dialled them, to be served by an http.Server.
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

// New returns a listener with the address addr.
func New(addr net.Addr) *Listener {
	l := &Listener{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.done) })
	return l
}

// Hand waits until Accept returns c. The error is net.ErrClosed for a closed listener, or that
// of ctx; the caller must close c then.
func (l *Listener) Hand(ctx context.Context, c net.Conn) error {
	select {
	case <-l.done: // otherwise a closed listener could accept one more
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

// Addr returns the address that New was given.
func (l *Listener) Addr() net.Addr { return l.addr }
