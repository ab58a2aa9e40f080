package ports

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/keepalive"
)

// serveHTTP1 serves a request of HTTP/1. The rest of its body, or bytes that a client sends
// behind a refused upgrade, are never read as the next request: they may be smuggled.
func serveHTTP1(next http.Handler, w http.ResponseWriter, r *http.Request, c *Conn, l *Limits) {
	var end time.Time
	if l.Request > 0 {
		end = time.Now().Add(l.Request)
	}
	if isTooLarge(r, l) {
		next = http.HandlerFunc(headersTooLarge)
	}
	c.raw.setRequestLimit(end)
	switch {
	case keepalive.Switches(r):
		last := &keepalive.Writer{ResponseWriter: w, Last: func() bool { return true }}
		if r.ContentLength != 0 {
			serveBody(next, last, r, c, l)
		} else {
			next.ServeHTTP(last, r)
		}
		if !c.hijacked.Load() {
			last.Finish()
			c.endAfterAnswer(w)
		}
	case r.ContentLength != 0:
		serveBody(next, w, r, c, l)
	default:
		next.ServeHTTP(w, r)
	}
}

// endAfterAnswer makes the answer the connection's last: net/http announces it, and
// nothing that the client sends from here on is read.
func (c *Conn) endAfterAnswer(w http.ResponseWriter) {
	c.raw.stopReading()
	keepalive.Close(w)
}

// maxUnread is how many bytes of a body that the handler left are read to keep the connection
// open. net/http reads as many.
const maxUnread = 256 << 10

// serveBody serves a request of HTTP/1 with a body. Without a deadline a body that
// never arrives would hold the connection, even of a client that is refused. The
// client has Limits.Idle for each part that the handler reads, and Limits.Headers for
// the whole rest that the handler leaves.
//
// net/http ignores an error while it reads what was left: the connection would go on,
// and the rest of the body would be read as the client's next request. So the rest is read
// here, and a connection whose body did not reach its end is closed after the answer.
func serveBody(next http.Handler, w http.ResponseWriter, r *http.Request, c *Conn, l *Limits) {
	body := &limitedBody{ReadCloser: r.Body, conn: c, limits: *l, awaitsContinue: r.Header.Get("Expect") != ""}
	own := *r // a copy: net/http looks at the body of its own request
	own.Body = body
	defer func() { r.MultipartForm = own.MultipartForm }() // net/http removes its files
	next.ServeHTTP(&bodyWriter{w, body}, &own)
	body.drain(w) // after a panic net/http closes the connection
}

// limitedBody is a request's body with a limit for each wait for the client.
type limitedBody struct {
	io.ReadCloser
	conn           *Conn
	limits         Limits
	awaitsContinue bool        // the client waits for a 100, which the first Read sends
	readBegun      atomic.Bool // read from
	atEnd          atomic.Bool // its end was reached, or net/http closes the connection
	failed         atomic.Bool // a read has failed before that
	returned       atomic.Bool // the handler has returned
	reads          atomic.Int32
}

// Read fails once the handler has returned: the next bytes belong to another request.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.returned.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	b.readBegun.Store(true)
	b.reads.Add(1)
	defer b.reads.Add(-1)
	b.beginWait(b.limits.Idle)
	return b.read(p)
}

// beginWait sets the deadline for a wait for the client. A body at its end gets none: the
// deadline would end the read by which net/http notices that the client closes, and cancel
// the request's context.
func (b *limitedBody) beginWait(wait time.Duration) {
	if !b.atEnd.Load() && !b.returned.Load() {
		b.conn.raw.setReadLimit(time.Now().Add(wait))
	}
}

// endWait ends a wait that was not a Read.
func (b *limitedBody) endWait() {
	switch {
	case b.returned.Load() || b.failed.Load() || b.conn.hijacked.Load():
	case b.reads.Load() > 0:
		b.beginWait(b.limits.Idle)
	default:
		b.conn.raw.setReadLimit(time.Time{})
	}
}

func (b *limitedBody) read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.recordRead(err)
	return n, err
}

// Close reads the rest, as that of net/http does. It also ends a Read under way.
func (b *limitedBody) Close() error {
	b.beginWait(b.limits.Headers)
	err := b.ReadCloser.Close()
	if err == nil {
		b.recordRead(io.EOF) // or there was too much: then net/http closes the connection
	} else {
		b.recordRead(err)
	}
	return err
}

// recordRead records the result of a read. After a failure the end of the body is unknown:
// net/http treats a body with a malformed trailer as closed.
func (b *limitedBody) recordRead(err error) {
	switch {
	case err == nil || b.failed.Load():
	case b.atEnd.Load():
		if !b.returned.Load() { // otherwise the deadline belongs to another request
			b.conn.raw.setReadLimit(time.Time{}) // another call at the same time has found the end
		}
	case err == io.EOF, errors.Is(err, http.ErrBodyReadAfterClose): // net/http has found the end, or closes the connection
		b.atEnd.Store(true)
		b.conn.raw.setReadLimit(time.Time{}) // net/http waits for the client to close
	default:
		b.failed.Store(true)
		b.conn.raw.stopReading()
	}
}

// drain reads the rest that the handler left, so that the connection can serve the next
// request.
func (b *limitedBody) drain(w http.ResponseWriter) {
	b.returned.Store(true)
	if b.conn.hijacked.Load() || b.atEnd.Load() {
		return
	}
	b.conn.raw.setReadLimit(time.Now().Add(b.limits.Headers)) // until the connection is idle
	waits := b.awaitsContinue && !b.readBegun.Load()          // for a 100, which reading would send
	if !waits && !b.failed.Load() && w.Header().Get("Connection") != "close" {
		_, _ = io.CopyN(io.Discard, readFunc(b.read), maxUnread+1)
	}
	if !b.atEnd.Load() {
		b.conn.endAfterAnswer(w)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
