package reverse

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/underway"
	"github.com/mtlsguard/mtlsguard/trust"
)

// ServerConfig is what a Server is built from. Name, Services, Gateways, Trust,
// Certificate, Clients and Handler are needed.
type ServerConfig struct {
	// Name is the name by which policies, mappings and logs know the tunnel, like a port's.
	Name string
	// Services are what this server offers to serve. The gateway's Authorize must allow
	// all of them.
	Services []string
	// Gateways are the addresses to dial, host:port. Each is kept connected.
	Addrs []string
	// Trust says who is a gateway: whose certificate a registration port must show, and
	// who may state callers. Its verifier is of Usage trust.UsageServer.
	Gateways forwarded.Gateways
	// ServerName is the name that the gateway's certificate must have; empty is the
	// host of the address.
	ServerName string
	// Certificate is the server's own, by which the gateway knows it. It is asked for
	// every connection, and every second: when it answers with another certificate than
	// that of a tunnel, the tunnel is replaced. It must not block, and must not ask the
	// Context of its argument, which has ended by then.
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// Clients judges the callers' certificates that gateways state.
	Users *trust.Verifier
	// Handler serves the requests. It should be a guarded one: it is called for every
	// caller, believed or not.
	Handler http.Handler

	Conns int // connections to each gateway; 2
	// Streams is how many requests one connection takes and how many handlers run for it
	// at one time; 0 means 250. All connections together run at most Streams × Conns for
	// each gateway. A handler counts until it returns, also when its caller is gone;
	// a request above that is answered with 503 and reaches no handler. So is one of a
	// caller that is gone from handlers that still run, where as many run for that caller
	// as there are places free.
	Streams     int
	Ping        time.Duration // after which a silent gateway is asked whether it is alive; 10 s
	PingTimeout time.Duration // after which one that does not answer is gone; 5 s
	Drain       time.Duration // for requests under way when Serve's context ends; 8 s
	// BackoffMin and BackoffMax bound the pauses between attempts to reach a gateway; 0
	// means 500 ms and 30 s. Each pause has a random length up to a bound that doubles
	// with every failure.
	BackoffMin, BackoffMax time.Duration
	// Dial opens plain connections to gateways; nil is TCP. It is where a proxy out of
	// the network would go.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Observe is told of tunnels that come and go and of attempts that fail. It must not
	// block.
	OnEvent func(Event)
	// ErrorLog is that of http.Server.
	ErrorLog *log.Logger
}

const (
	defaultConns = 2
	defaultDrain = 8 * time.Second
)

// Server serves requests that gateways send through connections that it dials. It
// opens no port. It is safe for concurrent use.
type Server struct {
	config   ServerConfig
	receiver atomic.Pointer[forwarded.Receiver]
	streams  atomic.Pointer[streams]
	inner    *http.Server
	links    *chanlisten.Listener // of inner
	handlers quota
	running  running
	ready    chan struct{}
	once     sync.Once
	stop     context.CancelFunc // ends dialling
	stopping context.Context
	over     chan struct{} // closed when Shutdown has ended

	checker  underway.Checker
	changing sync.Mutex // one change of trust at a time
	mu       sync.Mutex
	served   bool
	tunnels  map[*serverEnd]struct{}
	taken    map[*watched]struct{}
}

// NewServer builds a Server. Every mistake is reported at once. It does not dial yet.
func NewServer(c ServerConfig) (*Server, error) {
	var wrong errorlist.List
	say := func(what, hint string) { wrong.Add(configerror.Error{What: "ServerConfig." + what, Hint: hint}) }
	if !validName(c.Name) {
		say(fmt.Sprintf("Name %q is no name", c.Name), nameHint)
	}
	if len(c.Services) == 0 || len(c.Services) > mostServices {
		say(fmt.Sprintf("Services has %d", len(c.Services)), fmt.Sprintf("1 to %d", mostServices))
	}
	for i, s := range c.Services {
		if !validName(s) || slices.Contains(c.Services[:i], s) {
			say(fmt.Sprintf("Services[%d], %q, is no name, or there twice", i, s), nameHint)
		}
	}
	if len(c.Addrs) == 0 {
		say("Gateways is empty", "gateway.acme.example:8444")
	}
	for i, g := range c.Addrs {
		if host, port, err := net.SplitHostPort(g); err != nil || host == "" || port == "" || slices.Contains(c.Addrs[:i], g) {
			say(fmt.Sprintf("Gateways[%d], %q, is not host:port, or there twice", i, g), "gateway.acme.example:8444")
		}
	}
	if c.Certificate == nil {
		say("Certificate is nil", "the server's own certificate, by which the gateway knows it")
	}
	if c.Handler == nil {
		say("Handler is nil", "middleware.Guard.Handler of what is to be served")
	}
	c.setDefaults()
	if c.Conns < 0 || c.Drain < 0 || c.BackoffMin < 0 || c.BackoffMax < c.BackoffMin {
		say("Conns, Drain or BackoffMin is negative, or BackoffMax is below BackoffMin", "")
	}
	bounds(&wrong, "ServerConfig", c.Ping, c.PingTimeout, c.Streams)
	receiver, err := newReceiver(c.Gateways, c.Users)
	wrong.Merge(err, configerror.Error{})
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	c.Services, c.Addrs = slices.Clone(c.Services), slices.Clone(c.Addrs)
	s := &Server{
		config: c, ready: make(chan struct{}), links: chanlisten.New(tunnelAddr{}), over: make(chan struct{}),
		tunnels: map[*serverEnd]struct{}{}, taken: map[*watched]struct{}{},
		running:  running{byCaller: map[statedCaller]map[context.Context]struct{}{}},
		handlers: quota{most: int64(c.Streams) * int64(c.Conns) * int64(len(c.Addrs))},
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.receiver.Store(receiver)
	s.inner = s.newInner()
	return s, nil
}

func (c *ServerConfig) setDefaults() {
	c.Conns = cmp.Or(c.Conns, defaultConns)
	c.Drain = cmp.Or(c.Drain, defaultDrain)
	c.Ping = cmp.Or(c.Ping, defaultPing)
	c.PingTimeout = cmp.Or(c.PingTimeout, defaultPingTimeout)
	c.Streams = cmp.Or(c.Streams, defaultStreams)
	c.BackoffMin = cmp.Or(c.BackoffMin, defaultMin)
	c.BackoffMax = cmp.Or(c.BackoffMax, max(defaultMax, c.BackoffMin))
}

func newReceiver(gateways forwarded.Gateways, clients *trust.Verifier) (*forwarded.Receiver, error) {
	if gateways.Trust != nil && gateways.Trust.Usage() != trust.UsageServer {
		return nil, &configerror.Error{What: "Trust is for " + gateways.Trust.Usage().String(), Hint: "a trust.Verifier of Usage ServerAuth: a gateway that we call is a server"}
	}
	return forwarded.New(forwarded.Config{Topology: forwarded.RFC9440(), Gateways: gateways, Users: clients})
}

// newInner is the http.Server behind all tunnels. It never listens.
func (s *Server) newInner() *http.Server {
	return &http.Server{
		Handler:        http.HandlerFunc(s.arrive),
		Protocols:      plainHTTP2(),
		MaxHeaderBytes: headerBytes,
		ErrorLog:       s.config.ErrorLog,
		HTTP2: &http.HTTP2Config{
			// net/http starts no more handlers at one time than it allows streams, queues
			// the next requests, and ends the connection when too many wait. Handlers whose
			// callers are gone fill Streams of these places at the most; the others refuse.
			MaxConcurrentStreams:          2*s.config.Streams + slack,
			SendPingTimeout:               s.config.Ping,
			PingTimeout:                   s.config.PingTimeout,
			MaxReadFrameSize:              frameSize,
			MaxReceiveBufferPerStream:     window,
			MaxReceiveBufferPerConnection: connectionWindow(s.config.Streams),
			MaxDecoderHeaderTableSize:     tableSize,
		},
		DisableGeneralOptionsHandler: true, // else net/http answers OPTIONS * before any guard
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if t, ok := c.(*serverEnd); ok {
				return context.WithValue(ctx, linkKey{}, t)
			}
			return ctx
		},
	}
}

type linkKey struct{}

// Ready is closed when the first gateway has said that it will send requests: after
// its hello, not after the dial, which in TLS 1.3 succeeds before the server's
// certificate is judged.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Tunnels is how many tunnels carry requests now, by the gateway's address.
func (s *Server) Tunnels() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for t := range s.tunnels {
		if t.welcome.Load() {
			out[t.addr]++
		}
	}
	return out
}

// Listener returns the listener for connections that come end to end through the
// tunnels, for a ports.Port:
//
//	l := port.Wrap(server.Listener())
//
// Without it they are refused. There is one; it may be asked for before Serve.
func (s *Server) Listener() net.Listener {
	l := newStreams()
	if !s.streams.CompareAndSwap(nil, l) {
		return s.streams.Load()
	}
	return l
}

// Reconfigure replaces Gateways and Users by those of c. Tunnels stay open while their
// gateway is among the new Gateways; the others are closed. Requests in flight and
// hijacked connections are verified again with the new Users, and end if their client
// certificate is not trusted any more.
//
// The other fields of c must have the values given to NewServer. Handler, ErrorLog and
// the functions cannot be compared: Reconfigure ignores them. After an error the old
// configuration stays in effect.
func (s *Server) Reconfigure(c ServerConfig) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	var wrong errorlist.List
	c.setDefaults()
	for name, changed := range map[string]bool{
		"Name": c.Name != s.config.Name, "Services": !slices.Equal(c.Services, s.config.Services),
		"Addrs": !slices.Equal(c.Addrs, s.config.Addrs), "ServerName": c.ServerName != s.config.ServerName,
		"Conns": c.Conns != s.config.Conns, "Streams": c.Streams != s.config.Streams,
		"Ping": c.Ping != s.config.Ping, "PingTimeout": c.PingTimeout != s.config.PingTimeout, "Drain": c.Drain != s.config.Drain,
		"BackoffMin": c.BackoffMin != s.config.BackoffMin, "BackoffMax": c.BackoffMax != s.config.BackoffMax,
	} {
		if changed {
			wrong.Add(configerror.Error{What: "ServerConfig." + name + " cannot change while the server runs", Hint: "build another server with NewServer"})
		}
	}
	receiver, err := newReceiver(c.Gateways, c.Users)
	wrong.Merge(err, configerror.Error{})
	if err := wrong.Err(); err != nil {
		return err
	}
	s.config.Gateways, s.config.Users = c.Gateways, c.Users
	s.receiver.Store(receiver)
	s.judge()
	return nil
}

// Serve keeps the gateways connected and serves until ctx ends. Then it drains as
// Shutdown does, at the longest for Drain, and returns nil. It serves once.
func (s *Server) Serve(ctx context.Context) error {
	s.mu.Lock()
	if s.served {
		s.mu.Unlock()
		return errors.New("reverse: a server serves once")
	}
	s.served = true
	s.mu.Unlock()
	if s.stopping.Err() != nil {
		return http.ErrServerClosed
	}
	var runs sync.WaitGroup
	runs.Go(func() { _ = s.inner.Serve(s.links) })
	runs.Go(s.sweep)
	for _, g := range s.config.Addrs {
		for range s.config.Conns {
			runs.Go(func() { s.keep(s.stopping, g) })
		}
	}
	select {
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.Background(), s.config.Drain)
		defer cancel()
		_ = s.shutdown(end)
	case <-s.over:
	}
	runs.Wait()
	return nil
}

// Shutdown tells the gateways to send no more, waits until what is under way has
// ended, and closes the tunnels, at the latest when ctx ends. Nothing is lost: a
// gateway acknowledges, and closes its tunnel after the last answer. It returns the
// error of ctx, or nil.
func (s *Server) shutdown(ctx context.Context) error {
	s.stop()
	defer s.once.Do(func() { close(s.over) })
	var err error
	for err == nil {
		s.mu.Lock()
		var some *serverEnd
		for t := range s.tunnels {
			t.drain()
			some = t
		}
		s.mu.Unlock()
		if some == nil {
			break
		}
		select {
		case <-some.forgotten:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.links.Close()
	s.inner.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.tunnels {
		go t.Close() // TLS may take its time to say goodbye to a peer that does not listen
	}
	for w := range s.taken {
		go w.End()
	}
	if l := s.streams.Load(); l != nil {
		l.Close()
	}
	return err
}

const sweepEvery = time.Second

// sweep verifies again what is under way, while nobody asks. It waits for no responder.
func (s *Server) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.judge()
			s.renewTunnels()
		case <-s.over:
			return
		}
	}
}

// open returns the tunnels that there are.
func (s *Server) open() []*serverEnd {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.tunnels))
}

func (s *Server) judge() {
	s.mu.Lock()
	var taken []*watched
	for w := range s.taken {
		taken = append(taken, w)
	}
	s.mu.Unlock()
	for _, t := range s.open() {
		s.checker.Check(t, true)
	}
	for _, w := range taken {
		s.checker.Check(w, true)
	}
}

func (s *Server) observe(e Event) {
	if s.config.OnEvent != nil {
		s.config.OnEvent(e)
	}
}
