package ports

import (
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// http2Writer is the type of a handler's ResponseWriter on HTTP/2. A test pins that net/http
// still implements it.
type http2Writer interface {
	http.ResponseWriter
	http.Flusher
	http.Pusher
	io.StringWriter
	CloseNotify() <-chan bool
	FlushError() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	EnableFullDuplex() error
}

// stream is one request on HTTP/2, as its handler uses it. A peer that grants no
// window, or stops sending a body, would hold the handler for ever: no byte waits
// for TCP, so no deadline of the connection ends it.
//
// net/http gives every stream a deadline when it begins (see Configure), for its own
// answers too. Most streams end long before. The first sweep that finds the handler
// still at work removes this deadline, as a handler may take any time, and limits its
// waits from there on. When the handler returns, the rest of the answer gets a deadline
// again.
type stream struct {
	http2Writer
	conn      *Conn
	idleLimit time.Duration // for the client to send the next byte of the body
	takeLimit time.Duration // for the client to take the next part of the answer
	end       time.Time     // of the whole request; zero: never
	body      io.ReadCloser

	request http.Request // the handler's copy: net/http keeps its own until the client has taken the answer

	written, received progress
	answered          atomic.Bool // the handler has begun to write
	ownReadDeadline   atomic.Bool // the handler has set a deadline for reading

	writeDeadline atomic.Int64 // the handler's own, since epoch; 0: none

	mu               sync.Mutex
	returned         bool
	ownWriteDeadline bool // the handler has set a deadline for writing

	// Under conn.streams.mu. These stand together because a stream of 480 bytes takes up less
	// memory than one of 488.
	swept                 bool // a sweep has found it
	writeEnded, readEnded bool // by the sweep
	next, prev            *stream
}

// net/http keeps the map of the trailers that a request announces, and what arrives of
// them, as long as the stream is open; only its end releases them. The map of 64 KiB of
// names has 700 KiB, and a name in HPACK's table costs the client nothing.
const (
	maxTrailers           = 100             // announced; a request with more is refused
	takeLimitWithTrailers = 4 * time.Second // replaces Limits.Idle, for taking the answer
)

// serveStream serves a request of HTTP/2. net/http has bounded its head.
func serveStream(next http.Handler, w http2Writer, r *http.Request, c *Conn, l *Limits) {
	s := &stream{http2Writer: w, conn: c, idleLimit: l.Idle, takeLimit: l.Idle}
	switch {
	case len(r.Trailer) > maxTrailers:
		panic(http.ErrAbortHandler) // resets the stream: an answer could wait for its window
	case r.Trailer != nil:
		s.takeLimit = min(l.Idle, takeLimitWithTrailers)
	}
	if l.Request > 0 {
		s.end = time.Now().Add(l.Request)
	}
	s.request = *r
	if r.ContentLength != 0 {
		s.body, s.request.Body = r.Body, streamBody{s}
	}
	c.streams.add(s)
	defer s.finish()
	defer s.release(r)
	next.ServeHTTP(s, &s.request)
}

// release drops the headers and the body of a request: net/http keeps the request until the
// client has taken the answer, and a client that grants no window may take for ever.
func (s *stream) release(r *http.Request) {
	if s.body != nil {
		s.body.Close()
	}
	if len(r.RequestURI)+len(r.Host) > maxTarget {
		s.releaseAll(r)
		return
	}
	// The fields that may hold text of the client, or a handler's around that of Configure. A
	// copy of the request without them would cost an allocation of 250 bytes and its frames.
	r.Header, r.Body, r.ContentLength = http.Header{}, http.NoBody, 0
	r.GetBody, r.TransferEncoding, r.Trailer = nil, nil, nil
	r.Form, r.PostForm, r.Response, r.Pattern = nil, nil, nil, ""
	r.MultipartForm = s.request.MultipartForm // net/http removes its files
}

// releaseAll is release for a request whose target or host is large: also what a ServeMux
// has found in the path goes.
//
//go:noinline // its frame, see limitRequests
func (s *stream) releaseAll(r *http.Request) {
	left := http.Request{
		Method: r.Method, URL: &url.URL{}, Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		Header: http.Header{}, Body: http.NoBody, RemoteAddr: r.RemoteAddr, TLS: r.TLS,
		MultipartForm: s.request.MultipartForm, // as in release
	}
	*r = *left.WithContext(r.Context())
}

// maxTarget is how many bytes of a request's target and host release keeps, for a handler
// around that of Configure, such as an access log.
const maxTarget = 1 << 10

// finish limits the time for what net/http writes after the handler: the rest of its
// buffer, the end of the stream, trailers.
func (s *stream) finish() {
	swept := s.conn.streams.remove(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.returned = true
	if !swept && !s.ownWriteDeadline && s.takeLimit == s.idleLimit {
		return // the deadline that net/http set is still there
	}
	end := time.Now().Add(s.takeLimit)
	for _, t := range []time.Time{s.end, atEpoch(s.writeDeadline.Load())} {
		if !t.IsZero() && t.Before(end) {
			end = t
		}
	}
	_ = s.http2Writer.SetWriteDeadline(end)
}

// extend removes the first deadline of the stream.
func (s *stream) extend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.returned && !s.ownWriteDeadline {
		_ = s.http2Writer.SetWriteDeadline(s.end)
	}
}

// endWrite resets the stream.
func (s *stream) endWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.returned {
		_ = s.http2Writer.SetWriteDeadline(longAgo)
	}
}

// endRead ends the body with os.ErrDeadlineExceeded. The sweep does not call it once the
// handler has begun to answer: both sides of such a stream may be silent for long.
func (s *stream) endRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.returned {
		_ = s.http2Writer.SetReadDeadline(longAgo)
	}
}

var longAgo = time.Unix(1, 0)

// Write writes in pieces, and counts each when the peer has taken it.
func (s *stream) Write(p []byte) (n int, err error) {
	s.beginWrite()
	defer s.written.end(0)
	for most := int(minBytes(s.takeLimit)); ; {
		piece := p[n:min(n+most, len(p))]
		m, err := s.http2Writer.Write(piece)
		n += m
		s.written.add(m)
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// WriteString is Write.
func (s *stream) WriteString(p string) (n int, err error) {
	s.beginWrite()
	defer s.written.end(0)
	for most := int(minBytes(s.takeLimit)); ; {
		piece := p[n:min(n+most, len(p))]
		m, err := s.http2Writer.WriteString(piece)
		n += m
		s.written.add(m)
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// Flush is that of http.Flusher.
func (s *stream) Flush() { _ = s.FlushError() }

// FlushError is for http.ResponseController.
func (s *stream) FlushError() error {
	s.beginWrite()
	defer s.written.end(0)
	return s.http2Writer.FlushError()
}

func (s *stream) beginWrite() {
	s.written.begin()
	if s.body != nil {
		s.answered.Store(true)
	}
}

// SetWriteDeadline is for http.ResponseController: the handler's own deadline takes the
// place of Limits.Idle.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ownWriteDeadline = true
	s.writeDeadline.Store(sinceEpoch(t))
	return s.http2Writer.SetWriteDeadline(t)
}

// SetReadDeadline is for http.ResponseController: the handler's own deadline takes the
// place of Limits.Idle.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.ownReadDeadline.Store(!t.IsZero())
	return s.http2Writer.SetReadDeadline(t)
}

// streamBody is the body of a request on HTTP/2.
type streamBody struct{ of *stream }

func (b streamBody) Read(p []byte) (int, error) {
	b.of.received.begin()
	n, err := b.of.body.Read(p)
	b.of.received.end(n)
	return n, err
}

func (b streamBody) Close() error { return b.of.body.Close() }
