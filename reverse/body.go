package reverse

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
)

// body is the body of a request on its way. HTTP/2's client breaks an exchange off
// only when nobody reads the body any more, so Close interrupts a Read that waits for
// the client: else a caller who waits for the rest of an answer before it sends more
// would wait for ever when the tunnel breaks.
type body struct {
	io.ReadCloser

	mu        sync.Mutex
	interrupt func() // ends a Read that waits
	left      chan struct{}
	reading   bool
	touched   bool // something of it may have been read
	closed    bool
	ended     bool // read to its end, with its trailers
	long      bool // its trailers are too long for a tunnel
	lost      bool // the client broke off, not we

	from    *http.Request // with trailers
	trailer http.Header
}

// long is a deadline that is over.
var long = time.Unix(1, 0)

const (
	// closeGrace is how long Close waits before it interrupts a Read. After an early
	// answer no interruption is needed, and the deadline would do harm where the body has
	// just come to its end: net/http then watches the connection with a read of its own,
	// and cancels the request's context when that fails.
	closeGrace = 20 * time.Millisecond
	// interruptEvery is how often a Read is interrupted until it ends: a port takes its
	// own deadline back when reading begins.
	interruptEvery = 5 * time.Millisecond
	// interruptFor bounds that. A program's own ResponseWriter may have no deadlines.
	interruptFor = 2 * time.Second
)

// bodyOf is for the body of a request that w answers.
func bodyOf(b io.ReadCloser, w http.ResponseWriter) *body {
	control := http.NewResponseController(w)
	return &body{ReadCloser: b, interrupt: func() { _ = control.SetReadDeadline(long) }}
}

// bytesOf is for what comes from a connection.
func bytesOf(r io.Reader, c net.Conn) *body {
	return &body{ReadCloser: io.NopCloser(r), interrupt: func() { c.SetReadDeadline(long) }}
}

// withTrailers hands on the trailers behind the body: those that were announced and
// state no identity.
func (b *body) withTrailers(from *http.Request, to http.Header) { b.from, b.trailer = from, to }

func (b *body) Read(p []byte) (int, error) {
	if !b.begin() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && b.from != nil {
		for name := range b.trailer {
			if values, ok := b.from.Trailer[name]; ok && !idheader.Is(name) {
				b.trailer[name] = values
			}
		}
		if headSize(b.trailer) > mostHead {
			clear(b.trailer)
			err = errRequestHead // the whole tunnel would end with it
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.ended = b.ended || err == io.EOF
	b.long = b.long || err == errRequestHead
	b.lost = b.lost || err != nil && err != io.EOF && !b.closed
	if b.left != nil {
		close(b.left)
		b.left = nil
	}
	return n, err
}

func (b *body) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = !b.closed
	b.touched = b.touched || b.reading
	return b.reading
}

// brokenOff reports whether the client broke off.
func (b *body) brokenOff() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost
}

// tooLong reports whether its trailers are too long for a tunnel.
func (b *body) tooLong() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.long
}

// complete reports whether the client has sent all of it, and it was read.
func (b *body) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

// Close ends reading. What is left is for the connection's server.
func (b *body) Close() error {
	if left := b.close(); left != nil {
		go b.stop(left, closeGrace)
	}
	return nil
}

// reopen takes a Close back, if nothing of the body has been read.
func (b *body) reopen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.touched {
		b.closed = false
	}
	return !b.touched
}

// release is Close when the request is answered. When it returns, no Read is under way.
func (b *body) release() {
	if left := b.close(); left != nil {
		b.stop(left, 0)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interrupt = func() {} // the deadlines are those of the next request from here on
}

// close begins no more Read. It returns a channel that is closed when the one under way
// has ended, or nil.
func (b *body) close() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.reading && b.left == nil {
		b.left = make(chan struct{})
	}
	return b.left
}

// stop interrupts the Read under way.
func (b *body) stop(left <-chan struct{}, after time.Duration) {
	timer := time.NewTimer(after)
	defer timer.Stop()
	for end := time.Now().Add(interruptFor); time.Now().Before(end); timer.Reset(interruptEvery) {
		select {
		case <-left:
			return
		case <-timer.C:
		}
		b.mu.Lock()
		if b.reading {
			b.interrupt()
		}
		b.mu.Unlock()
	}
}
