package ports

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves one handler on several ports.
type Server struct {
	Handler http.Handler
	Ports   []*Port
	// Ready is called once, when every port accepts.
	Ready func()
	// Draining is called when the server begins to stop.
	Draining func()
	// ErrorLog is passed to http.Server; nil means the log package's standard logger.
	ErrorLog *log.Logger
}

// Serve serves h on ports until ctx ends; see Server.Serve.
func Serve(ctx context.Context, h http.Handler, ports ...*Port) error {
	return (&Server{Handler: h, Ports: ports}).Serve(ctx)
}

// Serve opens every port, or none, and serves until ctx ends or a port fails. Then
// it drains: it accepts no new connections, requests under way have their port's Limits.Drain
// to finish, then every connection that is left is closed, hijacked ones too. The error is nil
// when ctx ended it.
func (s *Server) Serve(ctx context.Context) error {
	if s.Handler == nil || len(s.Ports) == 0 {
		return errors.New("ports: a server needs a handler and at least one port")
	}
	if c, ok := s.Handler.(interface{ CheckPorts(...*Port) error }); ok { // a guard's
		if err := c.CheckPorts(s.Ports...); err != nil {
			return err
		}
	}
	runs := make([]*run, 0, len(s.Ports))
	for _, p := range s.Ports {
		l, err := p.Listen(ctx)
		if err != nil {
			for _, r := range runs {
				r.listener.Close()
			}
			return err
		}
		runs = append(runs, &run{port: p, listener: l.(*listener), server: s})
	}
	failed := make(chan error, len(runs))
	stop := make(chan struct{})
	var loops sync.WaitGroup
	for _, r := range runs {
		loops.Go(func() { r.serveUntil(stop, failed) })
	}
	if s.Ready != nil {
		s.Ready()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	if s.Draining != nil {
		s.Draining()
	}
	close(stop)
	loops.Wait()
	var drains sync.WaitGroup
	for _, r := range runs {
		drains.Go(r.drain)
	}
	drains.Wait()
	return err
}

// run serves one port. A change of its HTTP limits starts new http.Servers for the
// connections to come; the former ones keep theirs.
type run struct {
	port     *Port
	listener *listener
	server   *Server
	servers  []*http.Server
}

// anonymousStreams bounds Limits.Streams for a connection without a certificate on a Request
// port. Each stream that waits for a window holds a goroutine and some 12 KiB, and clients
// without a certificate can have all the connections of a port.
const anonymousStreams = 10

func (r *run) serveUntil(stop <-chan struct{}, failed chan<- error) {
	for {
		r.port.mu.Lock()
		changed := r.port.limitsChanged
		r.port.mu.Unlock()
		done, ended := make(chan struct{}), make(chan error, 2)
		for _, from := range []chan net.Conn{r.listener.accepted, r.listener.anonymous} {
			srv := &http.Server{Handler: r.server.Handler, ErrorLog: r.server.ErrorLog}
			r.port.Configure(srv)
			if from == r.listener.anonymous {
				srv.HTTP2.MaxConcurrentStreams = min(srv.HTTP2.MaxConcurrentStreams, anonymousStreams)
			}
			r.servers = append(r.servers, srv)
			go func() { ended <- srv.Serve(serverListener{r.listener, from, done}) }()
		}
		select {
		case <-changed:
			close(done)
			<-ended
			<-ended
		case <-stop:
			close(done)
			<-ended
			<-ended
			return
		case err := <-ended:
			failed <- err
			return
		}
	}
}

// drain stops a port as Serve documents.
func (r *run) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), r.port.state.Load().config.Limits.Drain)
	defer cancel()
	r.listener.Close()
	var servers sync.WaitGroup
	for _, srv := range r.servers {
		servers.Go(func() { _ = srv.Shutdown(ctx) })
	}
	servers.Wait()
	// http.Server does not track hijacked connections: they have the same time.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for r.port.ConnCount() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	for _, srv := range r.servers {
		srv.Close()
	}
	r.port.closeAll()
}

// serverListener is the part of a port's listener that one http.Server accepts from.
type serverListener struct {
	*listener
	from chan net.Conn
	done chan struct{} // closed: this server accepts no more connections
}

func (s serverListener) Accept() (net.Conn, error) {
	select {
	case c := <-s.from:
		return c, nil
	case <-s.done:
		return nil, http.ErrServerClosed
	case <-s.listener.done:
		return nil, s.err
	}
}

// Close leaves the port open: the next server accepts its connections.
func (s serverListener) Close() error { return nil }

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
		return ConnContext
	}
	return func(ctx context.Context, c net.Conn) context.Context { return next(ConnContext(ctx, c), c) }
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

func headersTooLarge(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "close")
	http.Error(w, "431 Request Header Fields Too Large", http.StatusRequestHeaderFieldsTooLarge)
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
