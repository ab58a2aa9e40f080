package reverse

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/internal/underway"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
)

// Server serves requests that gateways send through connections that it dials. It opens no
// port. It is safe for concurrent use.
type Server struct {
	config   ServerConfig
	receiver atomic.Pointer[forwarded.Receiver] // current
	inner    *http.Server                       // of all tunnels
	links    *chanlisten.Listener               // of inner
	streams  atomic.Pointer[streamListener]     // nil until Listener has been called
	handlers handlerLimit
	byCaller handlersByCaller

	ready     chan struct{} // closed by readyOnce when the first gateway has sent Welcome
	readyOnce sync.Once
	dialling  context.Context // ends when Serve drains
	stopDials context.CancelFunc
	ended     chan struct{} // closed when the drain has ended

	checker       underway.Checker
	reconfiguring sync.Mutex // one Reconfigure at a time
	mu            sync.Mutex // guards the fields below
	served        bool
	tunnels       map[*serverTunnel]struct{}
	works         map[*callerWork]struct{}
}

// NewServer returns a Server. It does not dial yet. The error joins a configerror.Error for
// each error of the configuration.
func NewServer(c ServerConfig) (*Server, error) {
	c.setDefaults()
	receiver, err := c.check()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: c, ready: make(chan struct{}), ended: make(chan struct{}), links: chanlisten.New(tunnelAddr{}),
		tunnels: map[*serverTunnel]struct{}{}, works: map[*callerWork]struct{}{},
		handlers: handlerLimit{max: int64(c.Streams) * int64(c.Conns) * int64(len(c.Addrs))},
		byCaller: handlersByCaller{running: map[callerKey]map[context.Context]struct{}{}},
	}
	s.dialling, s.stopDials = context.WithCancel(context.Background())
	s.receiver.Store(receiver)
	s.inner = s.newInner()
	return s, nil
}

// newInner returns the http.Server of all tunnels. It never listens.
func (s *Server) newInner() *http.Server {
	return &http.Server{
		Handler:        http.HandlerFunc(s.dispatch),
		Protocols:      wire.HTTP2(),
		MaxHeaderBytes: wire.MaxHeaderBytes,
		ErrorLog:       s.config.ErrorLog,
		HTTP2: &http.HTTP2Config{
			// net/http runs at most as many handlers at one time as it allows streams, queues
			// further requests, and closes the connection when too many wait. Handlers whose
			// callers have gone occupy at most Streams of these; the others only refuse.
			MaxConcurrentStreams:          2*s.config.Streams + wire.SpareStreams,
			SendPingTimeout:               s.config.Ping,
			PingTimeout:                   s.config.PingTimeout,
			MaxReadFrameSize:              wire.FrameSize,
			MaxReceiveBufferPerStream:     wire.Window,
			MaxReceiveBufferPerConnection: wire.ConnectionWindow(s.config.Streams),
			MaxDecoderHeaderTableSize:     wire.HeaderTableSize,
		},
		DisableGeneralOptionsHandler: true, // otherwise net/http answers OPTIONS * without the guard
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if t, ok := c.(*serverTunnel); ok {
				return context.WithValue(ctx, serverTunnelKey{}, t)
			}
			return ctx
		},
	}
}

type serverTunnelKey struct{}

// Ready returns a channel that is closed when the first gateway has accepted the
// registration and sends requests. A successful dial is not enough: in TLS 1.3 it succeeds
// before the gateway has verified the server's certificate.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Tunnels returns how many tunnels carry requests now, by the gateway's address.
func (s *Server) Tunnels() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for t := range s.tunnels {
		if t.welcomed.Load() {
			out[t.addr]++
		}
	}
	return out
}

// Listener returns the listener for connections that Gateway.ServePassthrough carries end
// to end. Serve them with a ports.Port:
//
//	srv := &http.Server{Handler: guard.Handler(orders)}
//	port.Configure(srv)
//	err := srv.Serve(port.Wrap(server.Listener()))
//
// If Listener has never been called, such connections are refused. Every call returns the
// same listener. It may be called before Serve.
func (s *Server) Listener() net.Listener {
	l := newStreamListener()
	if !s.streams.CompareAndSwap(nil, l) {
		return s.streams.Load()
	}
	return l
}

// Serve keeps connections to the gateways and serves until ctx ends. Then it asks the
// gateways to send no more requests, waits for those in flight for at most Drain, and
// returns nil. No request is lost: each gateway acknowledges, and closes its tunnels after
// the last answer. Serve may be called once.
func (s *Server) Serve(ctx context.Context) error {
	s.mu.Lock()
	if s.served {
		s.mu.Unlock()
		return errors.New("reverse: Serve was called twice")
	}
	s.served = true
	s.mu.Unlock()
	var running sync.WaitGroup
	running.Go(func() { _ = s.inner.Serve(s.links) })
	running.Go(s.recheckLoop)
	for _, addr := range s.config.Addrs {
		for range s.config.Conns {
			running.Go(func() { s.keepConnected(s.dialling, addr) })
		}
	}
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), s.config.Drain)
	defer cancel()
	s.drain(end)
	running.Wait()
	return nil
}

// drain asks the gateways to send no more requests, waits for those in flight, and closes
// everything, at the latest when ctx ends.
func (s *Server) drain(ctx context.Context) {
	s.stopDials()
	s.drainTunnels(ctx)
	s.links.Close()
	s.inner.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.tunnels {
		go t.Close() // TLS may take time to send close_notify to a peer that does not read
	}
	for w := range s.works {
		go w.End(nil)
	}
	if l := s.streams.Load(); l != nil {
		l.Close()
	}
	close(s.ended)
}

// drainTunnels waits until the gateways have closed all tunnels, or ctx ends.
func (s *Server) drainTunnels(ctx context.Context) {
	for {
		var last *serverTunnel
		for _, t := range s.list() {
			t.drain()
			last = t
		}
		if last == nil {
			return
		}
		select {
		case <-last.removed:
		case <-ctx.Done():
			return
		}
	}
}

// list returns the current tunnels.
func (s *Server) list() []*serverTunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.tunnels))
}

func (s *Server) report(e Event) {
	if s.config.OnEvent != nil {
		s.config.OnEvent(e)
	}
}
