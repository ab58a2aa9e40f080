package upstream

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

var errWithdrawn = errors.New("the attempt has ended")

// requestBody is the body of a caller's request. Attempts read it, one after the other: one
// that has not begun to read it can be followed by another.
type requestBody struct {
	x        *exchange
	body     io.Reader
	trailers http.Header // of the request that is sent; filled at the end of the body

	turn  chan struct{} // holds a value while a Read is under way
	mu    sync.Mutex
	begun bool
	err   error // why the caller's body cannot be read
}

// attempt returns the body for one attempt.
func (b *requestBody) attempt() *attemptBody { return &attemptBody{of: b} }

// endOfRead bounds the wait for a Read that ends, see callerError.
const endOfRead = time.Second

// callerError returns why the caller's body cannot be read, or nil. net/http ends the context of
// a request before the Read that fails returns: a Read under way is waited for.
func (b *requestBody) callerError() error {
	if b == nil {
		return nil
	}
	if b.x.in.Context().Err() != nil {
		select {
		case b.turn <- struct{}{}:
			<-b.turn
		case <-time.After(endOfRead):
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// attemptBody is the body as one attempt reads it.
type attemptBody struct {
	of        *requestBody
	withdrawn bool // guarded by of.mu
}

// withdraw ends the attempt's right to read. It returns false if the attempt has begun to
// read: the body cannot be sent again. The transport may still hold the body then, which is why
// a look at begun would not be enough.
func (a *attemptBody) withdraw() bool {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	if a.of.begun {
		return false
	}
	a.withdrawn = true
	return true
}

// Read implements io.Reader.
func (a *attemptBody) Read(p []byte) (int, error) {
	b := a.of
	b.mu.Lock()
	if a.withdrawn {
		b.mu.Unlock()
		return 0, errWithdrawn
	}
	b.begun = true
	b.mu.Unlock()
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	n, err := b.body.Read(p)
	if n > 0 {
		b.x.moved()
	}
	switch {
	case err == io.EOF:
		for name := range b.trailers {
			b.trailers[name] = b.x.in.Trailer[name]
		}
	case err != nil:
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
	}
	return n, err
}

// Close does nothing: net/http and package ports end the body when the handler returns. A close
// here would read the rest of it from a caller that may wait for the answer.
func (a *attemptBody) Close() error { return nil }

// notTrailers are fields that must not be trailers (RFC 9110 section 6.5.1): a server may take
// them for headers.
var notTrailers = map[string]bool{
	"Authorization": true, "Cache-Control": true, "Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Range": true,
	"Content-Type": true, "Cookie": true, "Expect": true, "Host": true, "Keep-Alive": true, "Max-Forwards": true, "Pragma": true,
	"Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Range": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Www-Authenticate": true,
}

func isTrailer(name string) bool { return !notTrailers[name] && !strings.HasPrefix(name, "If-") }
