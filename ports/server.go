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
// it drains: it accepts no new connections, handshakes under way may finish, as long as their
// client does not stall, and requests have their port's Limits.Drain; then every connection that is left is closed, hijacked ones too. The error is nil
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
	var handshakes sync.WaitGroup
	for _, r := range runs {
		handshakes.Go(r.finishHandshakes)
	}
	handshakes.Wait()
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
	end      time.Time // of the drain
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
		queues := []chan net.Conn{r.listener.accepted, r.listener.anonymous, r.listener.http1}
		done, ended := make(chan struct{}), make(chan error, len(queues))
		for _, from := range queues {
			srv := &http.Server{Handler: r.server.Handler, ErrorLog: r.server.ErrorLog}
			if err := r.port.Configure(srv); err != nil { // a protocol that another server of the port has ruled out
				failed <- err
				return
			}
			switch from {
			case r.listener.anonymous:
				srv.HTTP2.MaxConcurrentStreams = min(srv.HTTP2.MaxConcurrentStreams, anonymousStreams)
			case r.listener.http1:
				sweepHTTP1(srv)
			}
			r.servers = append(r.servers, srv)
			go func() { ended <- srv.Serve(serverListener{r.listener, from, changed, done}) }()
		}
		select {
		case <-changed:
			close(done)
			for range queues {
				<-ended
			}
		case <-stop:
			close(done)
			for range queues {
				<-ended
			}
			return
		case err := <-ended:
			failed <- err
			return
		}
	}
}

// sweepHTTP1 leaves two limits of a server for HTTP/1 alone to the sweep, which is a second late
// at most: each cost a clock read for every request, 2 % of its time.
func sweepHTTP1(srv *http.Server) {
	srv.WriteTimeout = 0 // Limits.Request is set for each request, and each write is watched
	if srv.IdleTimeout >= longIdle {
		srv.IdleTimeout = -1 // see Conn.sweepIdle; 0 would stand for ReadTimeout
	}
}

// firstByte is how long a client may send nothing when a server stops: time for its hello to
// arrive after it has connected, and for its request after the handshake.
const firstByte = time.Second

// finishHandshakes stops accepting, and lets the handshakes under way finish. They have at most
// half of the time to drain, because requests follow them.
func (r *run) finishHandshakes() {
	l := r.port.state.Load().config.Limits
	r.end = time.Now().Add(l.Drain)
	ctx, cancel := context.WithTimeout(context.Background(), min(l.Handshake, l.Drain/2))
	defer cancel()
	silent := time.AfterFunc(min(firstByte, l.Drain/2), r.port.closeSilent)
	defer silent.Stop()
	r.listener.stopAccepting(ctx)
}

// drain stops a port as Serve documents.
func (r *run) drain() {
	ctx, cancel := context.WithDeadline(context.Background(), r.end)
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
	from    chan net.Conn
	changed <-chan struct{} // closed: connections are for the next server, and done will be closed
	done    <-chan struct{} // closed: this server accepts no more connections
}

func (s serverListener) Accept() (net.Conn, error) {
	select {
	case c := <-s.from:
		select {
		default:
			return c, nil
		case <-s.changed:
			go s.offer(s.from, c)
		}
	case <-s.done:
	case <-s.listener.done:
	}
	select {
	case <-s.done:
		return nil, http.ErrServerClosed
	case <-s.listener.done:
		return nil, s.err
	}
}

// Close leaves the port open: the next server accepts its connections.
func (s serverListener) Close() error { return nil }
