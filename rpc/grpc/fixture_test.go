package guardgrpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
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

// programLog is the program's default log, where a wrong setup is reported.
var programLog testkit.Buffer

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(&programLog, nil)))
	os.Exit(m.Run())
}

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// site is a port, a guard and the PKI for both.
type site struct {
	ca, serverCA *testpki.Pair
	alice, bob   *testpki.Pair
	clock        testkit.Clock
	port         *ports.Port
	config       middleware.Config
	guard        *middleware.Guard

	mu       sync.Mutex
	outcomes []middleware.Outcome
}

func newSite(tb testing.TB, mode ports.ClientAuth, rules ...string) *site {
	tb.Helper()
	s := &site{ca: testpki.NewCA("Client CA"), serverCA: testpki.NewCA("Server CA")}
	s.alice, s.bob = s.ca.Leaf("alice"), s.ca.Leaf("bob")
	s.port = must[*ports.Port](tb)(ports.New(s.portConfig(tb, mode)))
	s.config = middleware.Config{
		Map: must[*certmap.Table](tb)(certmap.New(
			certmap.Mapping{ID: "m-alice", User: "alice", Fingerprint: trust.FingerprintOf(s.alice.Cert)},
			certmap.Mapping{ID: "m-bob", User: "bob", Fingerprint: trust.FingerprintOf(s.bob.Cert)},
		)),
		Policy: newPolicy(tb, rules...),
		Observe: func(_ *http.Request, o middleware.Outcome) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.outcomes = append(s.outcomes, o)
		},
	}
	s.guard = must[*middleware.Guard](tb)(middleware.New(s.config))
	return s
}

func (s *site) portConfig(tb testing.TB, mode ports.ClientAuth, crls ...*x509.RevocationList) ports.Config {
	tb.Helper()
	server := s.serverCA.Server()
	own := server.TLS()
	return ports.Config{
		Name: "internal", Addr: "127.0.0.1:0", ClientAuth: mode,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil },
		Trust:       must[*trust.Verifier](tb)(trust.New(trust.Config{Anchors: []*x509.Certificate{s.ca.Cert}, CRLs: crls, Now: s.clock.Now})),
	}
}

func newPolicy(tb testing.TB, rules ...string) *policy.Engine {
	tb.Helper()
	return must[*policy.Engine](tb)(policy.Load("policy.csv", strings.NewReader(strings.Join(rules, "\n")+"\n")))
}

// last returns the last decision.
func (s *site) last() middleware.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.outcomes) == 0 {
		return middleware.Outcome{}
	}
	return s.outcomes[len(s.outcomes)-1]
}

// serve serves the echo service on the site's port until the test ends.
func (s *site) serve(tb testing.TB, options ...grpc.ServerOption) *grpc.Server {
	tb.Helper()
	l := must[net.Listener](tb)(s.port.Listen(tb.Context()))
	return serveOn(tb, l, options...)
}

func serveOn(tb testing.TB, l net.Listener, options ...grpc.ServerOption) *grpc.Server {
	tb.Helper()
	server := grpc.NewServer(options...)
	server.RegisterService(&echoService, nil)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	tb.Cleanup(func() {
		server.Stop()
		<-ended
	})
	return server
}

// options are the usual ones.
func (s *site) options() []grpc.ServerOption {
	return guardgrpc.ServerOptions(s.guard, guardgrpc.Credentials(s.port))
}

// dial returns a client with a certificate, or without one.
func (s *site) dial(tb testing.TB, holder *testpki.Pair) *grpc.ClientConn {
	tb.Helper()
	c := &tls.Config{RootCAs: s.serverCA.Pool(), ServerName: "localhost"}
	if holder != nil {
		c.Certificates = []tls.Certificate{holder.TLS()}
	}
	return dial(tb, s.port.Addr().String(), credentials.NewTLS(c))
}

func dial(tb testing.TB, addr string, creds credentials.TransportCredentials) *grpc.ClientConn {
	tb.Helper()
	cc := must[*grpc.ClientConn](tb)(grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds)))
	tb.Cleanup(func() { cc.Close() })
	return cc
}

// say calls the unary method.
func say(ctx context.Context, cc *grpc.ClientConn, text string, options ...grpc.CallOption) (string, error) {
	var out wrapperspb.StringValue
	err := cc.Invoke(ctx, "/acme.Echo/Say", wrapperspb.String(text), &out, options...)
	return out.GetValue(), err
}

// chat opens the stream of a method.
func chat(tb testing.TB, cc *grpc.ClientConn, method string) grpc.ClientStream {
	tb.Helper()
	return must[grpc.ClientStream](tb)(cc.NewStream(tb.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method))
}

func send(stream grpc.ClientStream, text string) error {
	return stream.SendMsg(wrapperspb.String(text))
}

func receive(stream grpc.ClientStream) (string, error) {
	var out wrapperspb.StringValue
	err := stream.RecvMsg(&out)
	return out.GetValue(), err
}

// echoService has one method of each kind, and no generated code.
var echoService = grpc.ServiceDesc{
	ServiceName: "acme.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		in := &wrapperspb.StringValue{}
		if err := decode(in); err != nil {
			return nil, err
		}
		handler := func(ctx context.Context, req any) (any, error) {
			return wrapperspb.String(describe(ctx, req.(*wrapperspb.StringValue).Value)), nil
		}
		if interceptor == nil {
			return handler(ctx, in)
		}
		return interceptor(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/acme.Echo/Say"}, handler)
	}}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: each},
		{StreamName: "Sum", ClientStreams: true, Handler: func(_ any, ss grpc.ServerStream) error {
			var all []string
			for {
				var in wrapperspb.StringValue
				switch err := ss.RecvMsg(&in); err {
				case nil:
					all = append(all, in.Value)
				case io.EOF:
					return ss.SendMsg(wrapperspb.String(describe(ss.Context(), strings.Join(all, "+"))))
				default:
					return err
				}
			}
		}},
		{StreamName: "Count", ServerStreams: true, Handler: func(_ any, ss grpc.ServerStream) error {
			var in wrapperspb.StringValue
			if err := ss.RecvMsg(&in); err != nil {
				return err
			}
			for range 3 {
				if err := ss.SendMsg(wrapperspb.String(describe(ss.Context(), in.Value))); err != nil {
					return err
				}
			}
			return nil
		}},
		{StreamName: "Flood", ServerStreams: true, ClientStreams: true, Handler: func(_ any, ss grpc.ServerStream) error {
			for ss.SendMsg(wrapperspb.String("x")) == nil { // it looks at no context
			}
			<-flooded
			return nil
		}},
	},
}

// flooded holds the handler of Flood: it never returns by itself.
var flooded = make(chan struct{})

// each answers every message.
func each(_ any, ss grpc.ServerStream) error {
	for {
		var in wrapperspb.StringValue
		if err := ss.RecvMsg(&in); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := ss.SendMsg(wrapperspb.String(describe(ss.Context(), in.Value))); err != nil {
			return err
		}
	}
}

// describe returns a text with the caller, and the names of metadata that could name a caller.
func describe(ctx context.Context, text string) string {
	id, ok := identity.FromContext(ctx)
	if !ok {
		return "no identity"
	}
	md, _ := metadata.FromIncomingContext(ctx)
	for name := range md {
		if strings.Contains(name, "cert") {
			text += " " + name
		}
	}
	return id.User + " " + text
}
