// Package rpc_test calls services of gRPC and Connect through a guard, with the clients that
// people use. It is a module of its own: the core depends on neither.
package rpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	guardgrpc "github.com/mtlsguard/mtlsguard/rpc/grpc"
	"github.com/mtlsguard/mtlsguard/trust"
)

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// site is a port with a guard, and the PKI for both.
type site struct {
	serverCA *testpki.Pair
	clients  map[string]*testpki.Pair // by name; "" has no certificate
	clock    testkit.Clock
	port     *ports.Port
	guard    *middleware.Guard

	mu   sync.Mutex
	last middleware.Outcome
}

// rules allow alice everything here, and bob nothing but the health of services.
const rules = `p, user:alice, *, POST, /grpc.health.v1.Health/*, allow
p, user:alice, *, POST, /grpc.reflection.v1.ServerReflection/*, allow
p, user:alice, *, GET|POST, /acme.Echo/*, allow
p, user:alice, *, POST, /acme.Echo/Secret, deny
p, user:bob, *, POST, /grpc.health.v1.Health/Check, allow
`

func newSite(tb testing.TB, change ...func(*middleware.Config)) *site {
	tb.Helper()
	ca := testpki.NewCA("Client CA")
	s := &site{serverCA: testpki.NewCA("Server CA"), clients: map[string]*testpki.Pair{"": nil}}
	var mappings []certmap.Mapping
	for _, name := range []string{"alice", "bob", "carol"} {
		s.clients[name] = ca.Leaf(name)
		if name != "carol" {
			mappings = append(mappings, certmap.Mapping{ID: "m-" + name, User: name, Fingerprint: trust.FingerprintOf(s.clients[name].Cert)})
		}
	}
	own := s.serverCA.Server().TLS()
	s.port = must[*ports.Port](tb)(ports.New(ports.Config{
		Name: "internal", Addr: "127.0.0.1:0", ClientAuth: ports.Request,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil },
		Trust:       must[*trust.Verifier](tb)(trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}, Now: s.clock.Now})),
	}))
	c := middleware.Config{
		Map:    must[*certmap.Table](tb)(certmap.New(mappings...)),
		Policy: must[*policy.Engine](tb)(policy.Load("policy.csv", strings.NewReader(rules))),
		Observe: func(_ *http.Request, o middleware.Outcome) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.last = o
		},
	}
	c.Authenticators = []middleware.Authenticator{middleware.Basic{Realm: "acme", Check: middleware.Passwords(map[string]string{"alice": "secret"})}}
	for _, f := range change {
		f(&c)
	}
	s.guard = must[*middleware.Guard](tb)(middleware.New(c))
	return s
}

// outcome returns the last decision.
func (s *site) outcome() middleware.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// register registers health and reflection.
func register(server *grpc.Server) *grpc.Server {
	h := health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, h)
	reflection.Register(server)
	return server
}

// serveHTTP serves a grpc.Server and handlers of Connect behind the guard, as one http.Handler.
func (s *site) serveHTTP(tb testing.TB) {
	tb.Helper()
	mux := http.NewServeMux()
	server := register(grpc.NewServer())
	mux.Handle("/grpc.health.v1.Health/", server)
	mux.Handle("/grpc.reflection.v1.ServerReflection/", server)
	for _, method := range []string{"/acme.Echo/Say", "/acme.Echo/Secret"} {
		mux.Handle(method, connect.NewUnaryHandler(method, func(ctx context.Context, r *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
			return connect.NewResponse(wrapperspb.String(describe(ctx, r.Msg.Value))), nil
		}, connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
	}
	mux.Handle("/acme.Echo/Chat", connect.NewBidiStreamHandler("/acme.Echo/Chat", func(ctx context.Context, stream *connect.BidiStream[wrapperspb.StringValue, wrapperspb.StringValue]) error {
		for {
			in, err := stream.Receive()
			if err != nil {
				return nil
			}
			if err := stream.Send(wrapperspb.String(describe(ctx, in.Value))); err != nil {
				return err
			}
		}
	}))
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- (&ports.Server{Handler: s.guard.Handler(mux), Ports: []*ports.Port{s.port}, Ready: func() { close(ready) }}).Serve(ctx)
	}()
	select {
	case <-ready:
	case err := <-ended:
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cancel()
		<-ended
	})
}

// serveGRPC serves a grpc.Server on its own transport.
func (s *site) serveGRPC(tb testing.TB) {
	tb.Helper()
	l := must[net.Listener](tb)(s.port.Listen(tb.Context()))
	server := register(grpc.NewServer(guardgrpc.ServerOptions(s.guard, guardgrpc.Credentials(s.port))...))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	tb.Cleanup(func() {
		server.Stop()
		<-ended
	})
}

// describe returns a text with the caller.
func describe(ctx context.Context, text string) string {
	id, ok := identity.FromContext(ctx)
	if !ok {
		return "no identity"
	}
	return text + " " + id.User
}

func (s *site) tls(client string) *tls.Config {
	c := &tls.Config{RootCAs: s.serverCA.Pool(), ServerName: "localhost"}
	if p := s.clients[client]; p != nil {
		c.Certificates = []tls.Certificate{p.TLS()}
	}
	return c
}

// grpcClient returns a connection of grpc-go.
func (s *site) grpcClient(tb testing.TB, client string) *grpc.ClientConn {
	tb.Helper()
	cc := must[*grpc.ClientConn](tb)(grpc.NewClient("passthrough:///"+s.port.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(s.tls(client)))))
	tb.Cleanup(func() { cc.Close() })
	return cc
}

// connectClient returns a client of Connect for a method.
func (s *site) connectClient(tb testing.TB, client, method string, options ...connect.ClientOption) *connect.Client[wrapperspb.StringValue, wrapperspb.StringValue] {
	tb.Helper()
	t := &http.Transport{TLSClientConfig: s.tls(client), ForceAttemptHTTP2: true}
	tb.Cleanup(t.CloseIdleConnections)
	return connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](&http.Client{Transport: t}, "https://"+s.port.Addr().String()+method, options...)
}
