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

// In TLS 1.3, a server that refuses a certificate sends an alert and closes, at a time
// when the client has already sent its first request. It depends on a race within net/http
// whether the alert, a broken pipe or "the connection could not be established" becomes
// the error of that request. The code here finds the alert again.

// The time to wait for an alert: in Close of a connection; in a call that failed; and in a
// call that failed and during which a server asked for a certificate in TLS 1.3.
const (
	closeAlertWait = 50 * time.Millisecond
	alertWait      = 100 * time.Millisecond
	askedAlertWait = time.Second
)

// conn is one connection of a pool, below TLS.
type conn struct {
	net.Conn
	owner       *conns
	once        sync.Once
	writeFailed atomic.Bool
	activity

	over      atomic.Pointer[tls.Conn]
	onRefusal func(error)
}

// reportClose makes Close report the error that ended the TLS connection above.
func (c *conn) reportClose(over *tls.Conn, report func(error)) {
	c.onRefusal = report
	c.over.Store(over)
}

// Close closes the connection. A TLS connection keeps the error that ended it and returns
// it from every read, so Close finds the error with a read. After a failed write there may
// be an unread alert; then Close reads before it closes.
func (c *conn) Close() (err error) {
	c.once.Do(func() {
		over := c.over.Load()
		if over != nil && c.writeFailed.Load() {
			_ = c.Conn.SetReadDeadline(time.Now().Add(closeAlertWait)) // also ends a read in progress
			c.readError(over)
		}
		c.closed.Store(true)
		err = c.Conn.Close()
		c.owner.remove(c)
		if over != nil {
			c.readError(over)
		}
	})
	return err
}

// readError reports the error that ended a TLS connection.
func (c *conn) readError(over *tls.Conn) {
	if _, err := over.Read(make([]byte, 1)); err != nil {
		c.onRefusal(err)
	}
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.lastRead.Store(sinceEpoch())
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.writeFailed.Store(true)
	}
	return n, err
}

// refusals remembers the servers' refusals on the connections of one pool: the last one of
// each origin.
type refusals struct {
	count   atomic.Int64 // refusals
	pending atomic.Int64 // TLS 1.3 handshakes in which the server asked for a certificate
	mu      sync.Mutex
	last    map[string]refusal
	unfit   map[string]string // what askedFor returned for the last certificate request of an origin; no entry for ""
}

type refusal struct {
	number int64
	err    error
}

const maxRefusals = 64 // origins

// mark is a point in time, in counts of refusals.
type mark struct{ count, pending int64 }

func (r *refusals) now() mark { return mark{r.count.Load(), r.pending.Load()} }

// add remembers a refusal. It ignores other errors.
func (r *refusals) add(origin string, err error) {
	if !errors.Is(explainAlert(err, nil, false, ""), ErrServerRefused) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil || len(r.last) >= maxRefusals {
		r.last = map[string]refusal{}
	}
	r.last[origin] = refusal{r.count.Add(1), err}
}

// setUnfit stores the certificate request of a server.
func (r *refusals) setUnfit(origin, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text == "" {
		delete(r.unfit, origin)
		return
	}
	if r.unfit == nil || len(r.unfit) >= maxRefusals {
		r.unfit = map[string]string{}
	}
	r.unfit[origin] = text
}

// unfitFor returns the last certificate request of an origin's server.
func (r *refusals) unfitFor(origin string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unfit[origin]
}

// find returns the refusal that a failed call ended with, joined with the call's error. It
// waits a short time for the refusal, and returns err if there is none since the mark.
func (r *refusals) find(request *http.Request, since mark, err error) error {
	if isConclusive(err) {
		return err
	}
	origin, wait := originOf(request.URL).String(), alertWait
	if r.pending.Load() > since.pending {
		wait = askedAlertWait
	}
	for end := time.Now().Add(wait); ; time.Sleep(alertWait / 20) {
		if r.count.Load() > since.count {
			r.mu.Lock()
			last := r.last[origin]
			r.mu.Unlock()
			if last.number > since.count {
				return fmt.Errorf("%w (%w)", last.err, err)
			}
		}
		if request.Context().Err() != nil || time.Now().After(end) {
			return err
		}
	}
}

// isConclusive reports whether no refusal can be behind an error: nothing was dialled, the
// handshake failed, or the caller gave up.
func isConclusive(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect" || op.Op == "remote error") {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	return errors.Is(err, ErrServerRefused) || errors.Is(err, ErrNotAsked) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// asNetConn returns c as a net.Conn, and nil rather than a nil *conn in an interface.
func asNetConn(c *conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}
