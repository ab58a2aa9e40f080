package ports

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/keepalive"
)

// serveHTTP1 serves a request of HTTP/1, and sees to it that what the client sends
// behind the request's head is never read as another request unless it is one.
func serveHTTP1(next http.Handler, w http.ResponseWriter, r *http.Request, l Limits) {
	switch {
	case keepalive.Switches(r):
		last := &keepalive.Writer{ResponseWriter: w, Last: func() bool { return true }}
		if r.ContentLength != 0 {
			serveBody(next, last, r, l)
		} else {
			next.ServeHTTP(last, r)
		}
		if !hijacked(r) {
			last.Finish()
			keepalive.Close(w)
		}
	case r.ContentLength != 0:
		serveBody(next, w, r, l)
	default:
		next.ServeHTTP(w, r)
	}
}

// mostUnread is how much of a body that the handler left is read for the sake of the
// connection. net/http reads as much.
const mostUnread = 256 << 10

// serveBody serves a request with a body.
//
// What a handler leaves of it is read, up to a bound. net/http does the same before it
// sends an answer, but for a handler with full duplex it does so after it, and takes the
// connection for ready although the reading failed: by a deadline, or in chunks or
// trailers that are none. The rest of the body would be the next request. So it is read
// here, and where its end is not found the connection is closed behind the answer.
//
// The client has Limits.Headers for what nobody reads: without a deadline a refused
// client could hold its connection with a body that never comes. Where Limits.Request is
// 0, the time is the handler's from its first Read on.
func serveBody(next http.Handler, w http.ResponseWriter, r *http.Request, l Limits) {
	control := http.NewResponseController(w)
	body := &requestBody{ReadCloser: r.Body}
	if l.Request == 0 {
		until := time.Now().Add(l.Headers)
		_ = control.SetReadDeadline(until)
		body.begin = func() {
			if c, ok := FromContext(r.Context()); !ok || c.raw.reading.wish.Load() == sinceEpoch(until) { // else the handler has set its own
				_ = control.SetReadDeadline(time.Time{})
			}
		}
	}
	own := *r // a copy: net/http looks at the body of its own request
	own.Body = body
	next.ServeHTTP(w, &own)
	r.MultipartForm = own.MultipartForm // net/http removes its files
	if hijacked(r) {
		return
	}
	failed, ended := body.leave()
	if ended {
		return
	}
	_ = control.SetReadDeadline(time.Now().Add(l.Headers)) // until net/http sets its own for the next request
	switch {
	case failed, w.Header().Get("Connection") == "close":
		keepalive.Close(w)
	case len(r.Header["Expect"]) > 0:
		// Reading would ask the client to send the body. net/http closes the connection.
	default:
		_, err := io.CopyN(io.Discard, r.Body, mostUnread)
		if err != io.EOF && !errors.Is(err, http.ErrBodyReadAfterClose) { // closed: net/http has found the end, or closes the connection
			keepalive.Close(w)
		}
	}
}

func hijacked(r *http.Request) bool {
	c, ok := FromContext(r.Context())
	return ok && c.hijacked.Load()
}

// requestBody is a body that knows how reading went.
type requestBody struct {
	io.ReadCloser

	mu     sync.Mutex
	begin  func() // at the first Read; nil afterwards
	over   bool   // the handler has returned
	ended  bool   // read to its end, with its trailers
	failed bool
}

// Read reads nothing once the handler has returned: the deadlines belong to the next
// request then.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.over {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	if b.begin != nil {
		b.begin()
		b.begin = nil
	}
	b.mu.Unlock()
	n, err := b.ReadCloser.Read(p)
	b.note(err)
	return n, err
}

// Close reads what is left of a short body.
func (b *requestBody) Close() error {
	err := b.ReadCloser.Close()
	b.note(err)
	return err
}

// note keeps the outcome. net/http itself closes a body behind which it then closes the
// connection, or whose end it has found: a Read after that is no failure.
func (b *requestBody) note(err error) {
	if err == nil || errors.Is(err, http.ErrBodyReadAfterClose) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = b.ended || err == io.EOF
	b.failed = b.failed || err != io.EOF
}

// leave ends the handler's reading. It reports how it went.
func (b *requestBody) leave() (failed, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.failed, b.ended && !b.failed
}
