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
	interrupt func() // nil when the request is not ours any more
	reading   bool
	closed    bool
	lost      bool // the client broke off, not we

	from    *http.Request // with trailers
	trailer http.Header
}

// long is a deadline that is over.
var long = time.Unix(1, 0)

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
	b.mu.Lock()
	b.reading = false
	b.lost = b.lost || err != nil && err != io.EOF && !b.closed
	b.mu.Unlock()
	if err == io.EOF && b.from != nil {
		for name := range b.trailer {
			if values, ok := b.from.Trailer[name]; ok && !idheader.Is(name) {
				b.trailer[name] = values
			}
		}
	}
	return n, err
}

func (b *body) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = !b.closed
	return b.reading
}

// left reports whether the client broke off.
func (b *body) left() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost
}

// Close ends reading.
func (b *body) Close() error {
	b.stop(false)
	return b.ReadCloser.Close()
}

// release is Close when the request is answered: nothing may touch it afterwards.
func (b *body) release() { b.stop(true) }

func (b *body) stop(forget bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.reading && b.interrupt != nil {
		b.interrupt()
	}
	if forget {
		b.interrupt = nil
	}
}
