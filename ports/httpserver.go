package ports

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/problem"
)

func withConnContext(next func(context.Context, net.Conn) context.Context) func(context.Context, net.Conn) context.Context {
	if next == nil {
		return connContext
	}
	return func(ctx context.Context, c net.Conn) context.Context { return next(connContext(ctx, c), c) }
}

func withConnState(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	if next == nil {
		return connState
	}
	return func(c net.Conn, s http.ConnState) {
		connState(c, s)
		next(c, s)
	}
}

// firstWriteDeadline is the deadline for writing that net/http gives a stream of HTTP/2 when
// it begins, its own answers (400, 431) included; serveStream moves it. It is long enough for
// a sweep to find the stream before.
func firstWriteDeadline(l Limits) time.Duration {
	first := l.Idle + 2*sweepEvery
	if l.Request > 0 {
		return min(l.Request, first)
	}
	return first
}

// http2Slack is what net/http adds to MaxHeaderBytes on HTTP/2: ten fields of 32 bytes beside
// their text. minHeaderBytes is larger. Headers are counted there as RFC 9113 section 6.5.2
// does, which is more than headerSize for every request.
const http2Slack = 10 * 32

// limitRequests wraps the handler of a server. It rejects headers that net/http accepts
// beyond the limit, bounds each wait for the client, prevents that the rest of a body is read
// as a request, and ends retired connections after their answer: on HTTP/2 net/http turns the
// header into a GOAWAY.
//
// On HTTP/2 each request has a new goroutine, whose stack has to grow for what is deep: the
// functions from here to the decision keep their frames small, and growStack goes first.
func limitRequests(next http.Handler, l Limits) http.Handler { return &limited{next, l} }

// limited is a handler with limits.
type limited struct {
	next   http.Handler
	limits Limits
}

func (h *limited) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 {
		growStack(false)
	}
	c, ok := FromContext(r.Context())
	if !ok || c.raw == nil {
		serveLimited(h.next, w, r, &h.limits) // not through a port, or simulated: the deadlines of net/http remain
		return
	}
	c.requests.begin()
	defer c.requests.end()
	if !c.used.Load() {
		c.used.Store(true)
	}
	if c.retired.Load() {
		announceClose(w)
	}
	if r.ProtoMajor == 1 {
		serveHTTP1(h.next, w, r, c, &h.limits)
	} else if h2, ok := w.(http2Writer); ok {
		serveStream(h.next, h2, r, c, &h.limits)
	} else {
		serveLimited(h.next, w, r, &h.limits) // an HTTP/2 server other than net/http's; its first deadline remains
	}
}

// announceClose makes the answer the connection's last.
//
//go:noinline // its frame, see limitRequests
func announceClose(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

// serveLimited serves a request if its head is within the limit.
//
//go:noinline // its frame, see limitRequests
func serveLimited(next http.Handler, w http.ResponseWriter, r *http.Request, l *Limits) {
	if isTooLarge(r, l) {
		headersTooLarge(w, r)
		return
	}
	next.ServeHTTP(w, r)
}

// isTooLarge reports whether the head of a request exceeds the limit.
func isTooLarge(r *http.Request, l *Limits) bool {
	return headerSize(r) > l.HeaderBytes || len(r.Trailer) > maxTrailers
}

func headersTooLarge(w http.ResponseWriter, r *http.Request) {
	announceClose(w)
	problem.Failure(http.StatusRequestHeaderFieldsTooLarge).Write(w, r)
}

// headerSize returns the size of the request's head as HTTP/1.1 writes it (RFC 9112
// section 2.1).
func headerSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len("  HTTP/1.1\r\nHost: \r\n\r\n") + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}
