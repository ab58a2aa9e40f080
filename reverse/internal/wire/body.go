package wire

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
)

// Body is the body of a request that the gateway sends through a tunnel. The HTTP/2 client
// of net/http abandons an exchange only when no Read of the body is in progress, so Close
// interrupts a Read that waits for the client: otherwise a client that waits for the rest
// of an answer before it sends more would wait forever when the tunnel breaks.
type Body struct {
	io.ReadCloser

	mu              sync.Mutex
	interrupt       func()        // ends a Read that waits
	readEnded       chan struct{} // closed when the Read in progress ends; nil if Close need not wait
	reading         bool
	readBegan       bool // a part of the body may have been read
	closed          bool
	complete        bool // read to the end, with the trailers
	trailersTooLong bool
	clientFailed    bool // the client ended the body early, not Close
	interrupted     bool // Close or Release has ended a Read

	request *http.Request // has the trailers
	trailer http.Header   // where they go
}

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

const (
	// closeGrace is how long Close waits before it interrupts a Read. After an early answer
	// no interruption is needed, and the deadline would do harm if the body has just come to
	// its end: net/http then watches the connection with a read of its own, and cancels the
	// request's context when that read fails.
	closeGrace = 20 * time.Millisecond
	// interruptInterval is how often a Read is interrupted until it ends: a port sets its
	// own deadline again when reading begins.
	interruptInterval = 5 * time.Millisecond
	// interruptTimeout bounds the attempts. A program's own ResponseWriter may have no
	// deadlines.
	interruptTimeout = 2 * time.Second
)

// NewBody returns a Body that reads from b, the body of a request that w answers.
func NewBody(b io.ReadCloser, w http.ResponseWriter) *Body {
	control := http.NewResponseController(w)
	return &Body{ReadCloser: b, interrupt: func() { _ = control.SetReadDeadline(aLongTimeAgo) }}
}

// NewConnBody returns a Body that reads from r, whose bytes come from the connection c.
func NewConnBody(r io.Reader, c net.Conn) *Body {
	return &Body{ReadCloser: io.NopCloser(r), interrupt: func() { c.SetReadDeadline(aLongTimeAgo) }}
}

// ForwardTrailers makes Read copy the trailers of r to those names in trailer that are not
// identity headers.
func (b *Body) ForwardTrailers(r *http.Request, trailer http.Header) {
	b.request, b.trailer = r, trailer
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if !b.beginRead() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && b.request != nil {
		for name := range b.trailer {
			if values, ok := b.request.Trailer[name]; ok && !idheader.Is(name) {
				b.trailer[name] = values
			}
		}
		if HeaderSize(b.trailer) > MaxSize {
			clear(b.trailer)
			err = ErrRequestTooLong // the other end would close the whole tunnel
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.complete = b.complete || err == io.EOF
	b.trailersTooLong = b.trailersTooLong || err == ErrRequestTooLong
	b.clientFailed = b.clientFailed || err != nil && err != io.EOF && !b.closed
	if b.readEnded != nil {
		close(b.readEnded)
		b.readEnded = nil
	}
	return n, err
}

func (b *Body) beginRead() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = !b.closed
	b.readBegan = b.readBegan || b.reading
	return b.reading
}

// ClientFailed reports whether the client ended the body before its end.
func (b *Body) ClientFailed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clientFailed
}

// Interrupted reports whether Close or Release has ended a Read. net/http cancels the context of a request
// of HTTP/1 when a Read of its body fails: then a context that has ended does not mean that the client
// has gone.
func (b *Body) Interrupted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.interrupted
}

// TrailersTooLong reports whether the trailers exceed MaxSize.
func (b *Body) TrailersTooLong() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trailersTooLong
}

// Complete reports whether the whole body has been read.
func (b *Body) Complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.complete
}

// Close ends reading. The rest of the body is left to the client's connection.
func (b *Body) Close() error {
	if ended := b.refuseReads(); ended != nil {
		go b.interruptRead(ended, closeGrace)
	}
	return nil
}

// Reopen undoes Close. It does nothing and reports false if a Read has begun.
func (b *Body) Reopen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.readBegan {
		b.closed = false
	}
	return !b.readBegan
}

// Release closes the body of a request that has been answered. When it returns, no Read is
// in progress.
func (b *Body) Release() {
	if ended := b.refuseReads(); ended != nil {
		b.interruptRead(ended, 0)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interrupt = func() {} // from here on the deadlines belong to the next request
}

// refuseReads makes every later Read fail. It returns a channel that is closed when the
// Read in progress ends, or nil if there is none.
func (b *Body) refuseReads() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.reading && b.readEnded == nil {
		b.readEnded = make(chan struct{})
	}
	return b.readEnded
}

// interruptRead interrupts the Read in progress until it ends.
func (b *Body) interruptRead(ended <-chan struct{}, after time.Duration) {
	timer := time.NewTimer(after)
	defer timer.Stop()
	for end := time.Now().Add(interruptTimeout); time.Now().Before(end); timer.Reset(interruptInterval) {
		select {
		case <-ended:
			return
		case <-timer.C:
		}
		b.mu.Lock()
		if b.reading {
			b.interrupted = true
			b.interrupt()
		}
		b.mu.Unlock()
	}
}
