package ports

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/problem"
)

// Configure sets the fields of an http.Server that a port needs: ConnContext, the limits, and
// DisableGeneralOptionsHandler. It wraps a ConnContext, a ConnState and a Handler that are set
// before. Call it before the server serves.
func (p *Port) Configure(srv *http.Server) {
	l := p.state.Load().config.Limits
	srv.ConnContext = withConnContext(srv.ConnContext)
	srv.ConnState = withConnState(srv.ConnState)
	srv.ReadHeaderTimeout = l.Headers
	srv.IdleTimeout = l.Idle
	srv.ReadTimeout = l.Request
	srv.WriteTimeout = firstWriteDeadline(l)
	srv.MaxHeaderBytes = l.HeaderBytes // net/http reads up to 8 KiB more; limitRequests enforces the rest
	var h2 http.HTTP2Config
	if srv.HTTP2 != nil {
		h2 = *srv.HTTP2
	}
	h2.MaxConcurrentStreams = l.Streams
	if h2.MaxReadFrameSize == 0 {
		h2.MaxReadFrameSize = 16 << 10 // net/http keeps a buffer of the largest frame of each connection; its default is 1 MiB
	}
	srv.HTTP2 = &h2
	srv.DisableGeneralOptionsHandler = true // otherwise net/http would answer OPTIONS * itself, without the guard
	if srv.Handler == nil {
		srv.Handler = http.DefaultServeMux
	}
	srv.Handler = limitRequests(srv.Handler, l)
}

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

// limitRequests wraps the handler of a server. It rejects headers that net/http accepts
// beyond the limit, bounds each wait for the client, prevents that the rest of a body is read
// as a request, and ends retired connections after their answer: on HTTP/2 net/http turns the
// header into a GOAWAY.
func limitRequests(next http.Handler, l Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := FromContext(r.Context())
		if ok {
			c.handlers.Add(1)
			defer c.handlers.Add(-1)
			if c.retired.Load() {
				w.Header().Set("Connection", "close")
			}
		}
		next := next
		if headerSize(r) > l.HeaderBytes || len(r.Trailer) > maxTrailers {
			next = http.HandlerFunc(headersTooLarge)
		}
		if !ok || c.raw == nil {
			next.ServeHTTP(w, r) // not through a port, or simulated: the deadlines of net/http remain
			return
		}
		if r.ProtoMajor != 1 {
			if w, ok := w.(http2Writer); ok {
				serveStream(next, w, r, c, l)
				return
			}
			next.ServeHTTP(w, r) // an HTTP/2 server other than net/http's; its first deadline remains
			return
		}
		var end time.Time
		if l.Request > 0 {
			end = time.Now().Add(l.Request)
		}
		c.raw.setRequestLimit(end)
		serveHTTP1(next, w, r, c, l)
	})
}

func headersTooLarge(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
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
