package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// conn is a connection of HTTP/1.1 to a service. net/http offers a connection for the next request
// before it has looked whether the service has sent more than its answer: a body after an answer
// to HEAD, with 204 or 304, or beyond Content-Length. The rest would be read as the answer to the
// next request, which may be another caller's.
//
// So a request waits until net/http waits for bytes: then it has read everything that came, and
// has closed the connection if that was too much.
type conn struct {
	net.Conn
	mu     sync.Mutex
	reads  bool          // a Read waits
	closed bool          // or will be
	quiet  chan struct{} // closed when reads or closed becomes true; nil if no goroutine waits
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	c.set(&c.reads, true)
	defer c.set(&c.reads, false)
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.set(&c.closed, true)
	return c.Conn.Close()
}

// CloseWrite closes the direction of Write, after an upgrade.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (c *conn) set(what *bool, to bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*what = to
	if to && c.quiet != nil {
		close(c.quiet)
		c.quiet = nil
	}
}

// wait waits until a Read waits, or the connection is closed.
func (c *conn) wait(ctx context.Context) {
	c.mu.Lock()
	if c.reads || c.closed {
		c.mu.Unlock()
		return
	}
	if c.quiet == nil {
		c.quiet = make(chan struct{})
	}
	quiet := c.quiet
	c.mu.Unlock()
	select {
	case <-quiet:
	case <-ctx.Done():
	}
}

// roundTrip sends a request on a connection on which nothing is left of another answer. After an answer to HEAD
// the connection is closed: a body that comes late would be the answer to another request. HTTP/2 has frames.
func (u *Upstream) roundTrip(r *http.Request) (*http.Response, error) {
	d, ok := u.config.Via.(*direct)
	if r.Method == http.MethodHead && !u.http2.Load() {
		r = r.WithContext(r.Context())
		r.Close = true
	}
	if ok && d.takes(r) {
		return d.send(r)
	}
	ctx := r.Context()
	res, err := u.config.Via.RoundTrip(r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if c := connOf(got.Conn); c != nil && got.Reused {
			c.wait(ctx)
		}
	}})))
	if err == nil && u.http2.Load() != (res.ProtoMajor == 2) {
		u.http2.Store(res.ProtoMajor == 2)
	}
	return res, err
}

// connOf returns the conn below a connection, or nil.
func connOf(c net.Conn) *conn {
	for {
		if own, ok := c.(*conn); ok {
			return own
		}
		outer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = outer.NetConn()
	}
}
