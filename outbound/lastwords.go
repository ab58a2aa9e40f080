package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A server that refuses a certificate in TLS 1.3 says so in an alert and closes, at a
// time when the client has begun with its first request. Whether the alert, a broken
// pipe or "the connection could not be established" becomes the error of that
// request is a race within net/http. What is here finds the alert again.

// How long it is waited for: when a connection is closed; by a call that failed; and by
// one since whose beginning a server has asked for a certificate in TLS 1.3.
const (
	lastWords   = 50 * time.Millisecond
	whyNot      = 100 * time.Millisecond
	whyNotAsked = time.Second
)

// conn is one connection of a pool, below TLS.
type conn struct {
	net.Conn
	owner *conns
	once  sync.Once
	mute  atomic.Bool // a write has failed
	activity

	over atomic.Pointer[tls.Conn]
	tell func(error)
}

// listen makes Close tell why the connection above was closed, if it knows.
func (c *conn) listen(over *tls.Conn, tell func(error)) {
	c.tell = tell
	c.over.Store(over)
}

// Close closes the connection. A TLS connection keeps the error that ended it, and
// answers a read with it for ever: that is how it is asked. One that is given up
// because it could not be written to may have unread words, and is asked before.
func (c *conn) Close() (err error) {
	c.once.Do(func() {
		over := c.over.Load()
		if over != nil && c.mute.Load() {
			_ = c.Conn.SetReadDeadline(time.Now().Add(lastWords)) // also of who is reading now
			c.ask(over)
		}
		c.closed.Store(true)
		err = c.Conn.Close()
		c.owner.forget(c)
		if over != nil {
			c.ask(over)
		}
	})
	return err
}

func (c *conn) ask(over *tls.Conn) {
	if _, why := over.Read(make([]byte, 1)); why != nil {
		c.tell(why)
	}
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.last.Store(sinceEpoch())
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.mute.Store(true)
	}
	return n, err
}

// heard are the refusals on connections of one pool: the last of each origin.
type heard struct {
	count atomic.Int64 // refusals
	asked atomic.Int64 // handshakes of TLS 1.3 in which the server asked
	mu    sync.Mutex
	last  map[string]word
}

type word struct {
	number int64
	err    error
}

const maxHeard = 64

// point is a point in time, counted in what was heard.
type point struct{ count, asked int64 }

func (h *heard) now() point { return point{h.count.Load(), h.asked.Load()} }

// note remembers a refusal, and nothing else.
func (h *heard) note(origin string, err error) {
	if !errors.Is(explain(err, "", false), ErrServerRefused) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil || len(h.last) >= maxHeard {
		h.last = map[string]word{}
	}
	h.last[origin] = word{h.count.Add(1), err}
}

// why looks for the reason of a call that failed, among the refusals since it began.
func (h *heard) why(r *http.Request, before point, err error) error {
	if known(err) {
		return err
	}
	origin, wait := originOf(r.URL).String(), whyNot
	if h.asked.Load() > before.asked {
		wait = whyNotAsked
	}
	for end := time.Now().Add(wait); ; time.Sleep(whyNot / 20) {
		if h.count.Load() > before.count {
			h.mu.Lock()
			last := h.last[origin]
			h.mu.Unlock()
			if last.number > before.count {
				return fmt.Errorf("%w (%w)", last.err, err)
			}
		}
		if r.Context().Err() != nil || time.Now().After(end) {
			return err
		}
	}
}

// known reports whether an error speaks for itself: nothing was dialled, the
// handshake failed, or it was the caller who gave up.
func known(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect" || op.Op == "remote error") {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	return errors.Is(err, ErrServerRefused) || errors.Is(err, ErrNotAsked) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// noNil keeps a nil *conn from becoming a net.Conn that is not nil.
func noNil(c *conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}
