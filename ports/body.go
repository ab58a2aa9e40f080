package ports

import (
	"bytes"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// mostUnread is how much net/http reads of a body that its handler left, so that the
// connection can have another request.
const mostUnread = 256 << 10

// serveBody serves a request of HTTP/1 with a body. Without a deadline a body that
// never comes would hold the connection, also that of a client that is refused. The
// client has Limits.Idle for each part that the handler reads, and Limits.Headers for
// all that it leaves.
//
// net/http ignores an error while it reads what was left: the connection would go on,
// and the rest of the body would be read as the client's next request. So it is read
// here, and a connection whose body did not reach its end is never read again.
func serveBody(next http.Handler, w http.ResponseWriter, r *http.Request, c *Conn, l Limits) {
	c.raw.limitRead(time.Now().Add(l.Headers)) // net/http reads the rest before it sends a large answer
	body := &limitedBody{ReadCloser: r.Body, conn: c, limits: l, expects: r.Header.Get("Expect") != ""}
	own := *r // a copy: net/http looks at the body of its own request
	own.Body = body
	defer func() { r.MultipartForm = own.MultipartForm }() // net/http removes its files
	next.ServeHTTP(w, &own)
	body.finish(w) // after a panic net/http closes the connection
}

// limitedBody limits the wait of each call.
type limitedBody struct {
	io.ReadCloser
	conn    *Conn
	limits  Limits
	expects bool        // the client waits for a 100, which the first Read sends
	begun   atomic.Bool // read from
	ended   atomic.Bool // its end was reached, or net/http closes the connection
}

func (b *limitedBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	b.conn.raw.limitRead(time.Now().Add(b.limits.Idle))
	return b.read(p)
}

func (b *limitedBody) read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.ended.Store(true)
		b.conn.raw.limitRead(time.Time{}) // net/http waits for the client to go away
	case err != nil && !b.ended.Load():
		b.conn.raw.readNoMore()
	}
	return n, err
}

// Close reads the rest, as that of net/http does. It also ends a Read under way.
func (b *limitedBody) Close() error {
	b.conn.raw.limitRead(time.Now().Add(b.limits.Headers))
	err := b.ReadCloser.Close()
	if err == nil {
		b.ended.Store(true) // or there was too much: then net/http closes the connection
		b.conn.raw.limitRead(time.Time{})
	} else if !b.ended.Load() {
		b.conn.raw.readNoMore()
	}
	return err
}

// finish reads what the handler left, so that the connection can go on.
func (b *limitedBody) finish(w http.ResponseWriter) {
	if b.conn.hijacked.Load() || b.ended.Load() {
		return
	}
	b.conn.raw.limitRead(time.Now().Add(b.limits.Headers)) // until the connection is idle
	if b.begun.Load() || !b.expects {
		_, _ = io.CopyN(io.Discard, readFunc(b.read), mostUnread+1)
	}
	if !b.ended.Load() {
		b.conn.raw.readNoMore()
		closeAfterAnswer(w)
	}
}

// closeAfterAnswer makes net/http announce that it closes the connection, and wait a
// little before it does: closing with unread bytes resets the connection, and the
// client could lose the answer. A body above its limit is the one way to ask for it.
func closeAfterAnswer(w http.ResponseWriter) {
	var one [1]byte
	_, _ = http.MaxBytesReader(w, io.NopCloser(bytes.NewReader(one[:])), 0).Read(one[:])
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
