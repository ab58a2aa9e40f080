package rpc_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/reason"
)

// A way is one way to make a call. It returns what the client sees: the answer, or the code and
// the message of an error.
type way struct {
	name string
	path string
	want string // the answer for alice
	call func(testing.TB, *site, string) (answer string, code codes.Code, message string)
}

// ofGRPC returns what a client of grpc-go sees.
func ofGRPC(answer string, err error) (string, codes.Code, string) {
	return answer, status.Code(err), status.Convert(err).Message()
}

// ofConnect returns what a client of Connect sees. Its codes have gRPC's numbers.
func ofConnect(answer string, err error) (string, codes.Code, string) {
	if err == nil {
		return answer, codes.OK, ""
	}
	var e *connect.Error
	if !errors.As(err, &e) {
		return answer, codes.Unknown, err.Error()
	}
	return answer, codes.Code(e.Code()), e.Message()
}

var grpcWays = []way{
	{"grpc-go, unary", "/grpc.health.v1.Health/Check", "SERVING", func(tb testing.TB, s *site, client string) (string, codes.Code, string) {
		res, err := grpc_health_v1.NewHealthClient(s.grpcClient(tb, client)).Check(tb.Context(), &grpc_health_v1.HealthCheckRequest{})
		return ofGRPC(res.GetStatus().String(), err)
	}},
	{"grpc-go, server stream", "/grpc.health.v1.Health/Watch", "SERVING", func(tb testing.TB, s *site, client string) (string, codes.Code, string) {
		stream, err := grpc_health_v1.NewHealthClient(s.grpcClient(tb, client)).Watch(tb.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			return ofGRPC("", err)
		}
		res, err := stream.Recv()
		return ofGRPC(res.GetStatus().String(), err)
	}},
	{"grpc-go, reflection", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "grpc.health.v1.Health", func(tb testing.TB, s *site, client string) (string, codes.Code, string) {
		stream, err := grpc_reflection_v1.NewServerReflectionClient(s.grpcClient(tb, client)).ServerReflectionInfo(tb.Context())
		if err != nil {
			return ofGRPC("", err)
		}
		_ = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}) // Recv has its error
		res, err := stream.Recv()
		if services := res.GetListServicesResponse().GetService(); len(services) > 0 {
			return ofGRPC(services[0].Name, err)
		}
		return ofGRPC("", err)
	}},
}

// connectUnary returns the way of a unary call with options.
func connectUnary(name string, options ...connect.ClientOption) way {
	return way{name, "/acme.Echo/Say", "hello alice", func(tb testing.TB, s *site, client string) (string, codes.Code, string) {
		res, err := s.connectClient(tb, client, "/acme.Echo/Say", options...).CallUnary(tb.Context(), connect.NewRequest(wrapperspb.String("hello")))
		if err != nil {
			return ofConnect("", err)
		}
		return ofConnect(res.Msg.Value, nil)
	}}
}

// connectStream returns the way of a stream in both directions.
func connectStream(name string, options ...connect.ClientOption) way {
	return way{name, "/acme.Echo/Chat", "hello alice", func(tb testing.TB, s *site, client string) (string, codes.Code, string) {
		stream := s.connectClient(tb, client, "/acme.Echo/Chat", options...).CallBidiStream(tb.Context())
		defer stream.CloseResponse()
		_ = stream.Send(wrapperspb.String("hello")) // Receive has its error
		stream.CloseRequest()
		res, err := stream.Receive()
		return ofConnect(res.GetValue(), err)
	}}
}

var connectWays = []way{
	connectUnary("connect"), connectUnary("connect, JSON", connect.WithProtoJSON()), connectUnary("connect, GET", connect.WithHTTPGet()),
	connectUnary("connect, gRPC", connect.WithGRPC()), connectUnary("connect, gRPC-Web", connect.WithGRPCWeb()),
	connectStream("connect, stream"), connectStream("connect, gRPC stream", connect.WithGRPC()), connectStream("connect, gRPC-Web stream", connect.WithGRPCWeb()),
}

// testWays makes every call as every client.
func testWays(t *testing.T, s *site, ways []way) {
	for _, w := range ways {
		for client, row := range map[string]struct {
			code    codes.Code
			message string
			reason  reason.Reason
			status  int
		}{
			"alice": {},
			"bob":   {codes.PermissionDenied, "Not allowed (no-rule, reference REF)", reason.NoRule, 403},
			"carol": {codes.PermissionDenied, "The client certificate belongs to no user (unmapped, reference REF)", reason.Unmapped, 403},
			"":      {codes.Unauthenticated, "A client certificate is needed (no-certificate, reference REF)", reason.NoCertificate, 401},
		} {
			if client == "bob" && w.path == "/grpc.health.v1.Health/Check" {
				row.code, row.message, row.reason, row.status = 0, "", "", 0 // a rule for one method
			}
			answer, code, message := w.call(t, s, client)
			o := s.outcome()
			if o.Reference != "" {
				message = strings.Replace(message, o.Reference, "REF", 1)
			}
			if code != row.code || message != row.message || code == codes.OK && answer != w.want {
				t.Errorf("%s as %q: %q, %s %q", w.name, client, answer, code, message)
			}
			if o.Reason != row.reason || o.Status != row.status || o.Path != w.path {
				t.Errorf("%s as %q: observed %s, %d, path %s", w.name, client, o.Reason, o.Status, o.Path)
			}
		}
	}
}

func TestCallsBehindTheGuardAsHandlers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serveHTTP(t)
	testWays(t, s, append(grpcWays, connectWays...))
}

func TestCallsOnTheTransportOfGRPC(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serveGRPC(t)
	testWays(t, s, grpcWays)
}

// A call can be denied by its method, and credentials may take the place of a certificate.
func TestRulesAndCredentialsForCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serveHTTP(t)
	for _, options := range [][]connect.ClientOption{nil, {connect.WithGRPC()}, {connect.WithGRPCWeb()}} {
		call := func(client, method, authorization string) (code codes.Code, err error) {
			r := connect.NewRequest(wrapperspb.String("hello"))
			if authorization != "" {
				r.Header().Set("Authorization", authorization)
			}
			_, err = s.connectClient(t, client, method, options...).CallUnary(t.Context(), r)
			_, code, _ = ofConnect("", err)
			return code, err
		}
		if code, err := call("alice", "/acme.Echo/Secret", ""); code != codes.PermissionDenied || !strings.Contains(err.Error(), "Denied (denied, ") {
			t.Errorf("denied method: %v", err)
		}
		const right, wrong = "Basic YWxpY2U6c2VjcmV0", "Basic YWxpY2U6d3Jvbmc="
		if code, err := call("", "/acme.Echo/Say", right); code != codes.OK {
			t.Errorf("password: %v", err)
		}
		code, err := call("", "/acme.Echo/Say", wrong)
		if code != codes.Unauthenticated || !strings.Contains(err.Error(), "The credentials are wrong (bad-credentials, ") {
			t.Errorf("wrong password: %v", err)
		}
		var e *connect.Error
		if errors.As(err, &e) && !strings.HasPrefix(e.Meta().Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("wrong password: no challenge in %v", e.Meta())
		}
	}
}

func TestCredentialsForCallsOnTheTransportOfGRPC(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serveGRPC(t)
	client := grpc_health_v1.NewHealthClient(s.grpcClient(t, ""))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Basic YWxpY2U6c2VjcmV0")
	if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	var trailer metadata.MD
	ctx = metadata.AppendToOutgoingContext(t.Context(), "authorization", "Basic YWxpY2U6d3Jvbmc=")
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Trailer(&trailer))
	if status.Code(err) != codes.Unauthenticated || len(trailer["www-authenticate"]) != 1 {
		t.Errorf("%v, trailer %v", err, trailer)
	}
}

// A call beyond a quota gets gRPC's code 8, whose retries wait, and the time to wait. The calls of
// another user are not counted with it.
func TestCallsBeyondAQuotaAreResourceExhausted(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		serve func(*site, testing.TB)
		ways  []way
	}{"handler": {(*site).serveHTTP, append(grpcWays, connectWays...)}, "transport": {(*site).serveGRPC, grpcWays}} {
		for _, w := range row.ways {
			t.Run(name+", "+w.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, func(c *middleware.Config) {
					c.Quotas = []middleware.Quota{{Name: "few", Requests: 1, Interval: time.Hour}}
				})
				row.serve(s, t)
				if answer, code, message := w.call(t, s, "alice"); code != codes.OK || answer != w.want {
					t.Fatalf("the first call: %s %q", code, message)
				}
				_, code, message := w.call(t, s, "alice")
				o := s.outcome()
				if want := "Too many requests (quota, reference " + o.Reference + ")"; code != codes.ResourceExhausted || message != want {
					t.Errorf("%s %q, want %q", code, message, want)
				}
				if o.Reason != reason.Quota || o.Status != http.StatusTooManyRequests || o.Reference == "" {
					t.Errorf("observed %s, %d, reference %q", o.Reason, o.Status, o.Reference)
				}
			})
		}
	}
}

// grpc-go sees the headers of a quota as metadata.
func TestQuotaSendsClientsOfGRPCTheTimeToRetry(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(*site, testing.TB){"handler": (*site).serveHTTP, "transport": (*site).serveGRPC} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(c *middleware.Config) {
				c.Quotas = []middleware.Quota{{Name: "few", Requests: 1, Interval: time.Hour}}
			})
			serve(s, t)
			client := grpc_health_v1.NewHealthClient(s.grpcClient(t, "bob"))
			var header, trailer metadata.MD
			for range 2 {
				_, _ = client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
			}
			sent := metadata.Join(header, trailer)
			if wait := sent.Get("retry-after"); len(wait) != 1 || wait[0] != "3600" && wait[0] != "3599" {
				t.Errorf("retry-after %q in %v", wait, sent)
			}
			want := []string{`"few";q=1;w=3600`}
			if name == "transport" {
				want = nil // it can only send a trailer, where the draft forbids the field
			}
			if limit := sent.Get("ratelimit-policy"); !slices.Equal(limit, want) {
				t.Errorf("ratelimit-policy %q, want %q", limit, want)
			}
		})
	}
}

// Behind the guard as a handler, the end of the certificate ends the connection.
func TestExpiryEndsStreams(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(*site, testing.TB){"handler": (*site).serveHTTP, "transport": (*site).serveGRPC} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			serve(s, t)
			ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
			defer cancel()
			stream, err := grpc_health_v1.NewHealthClient(s.grpcClient(t, "alice")).Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			s.clock.Set(s.clients["alice"].Cert.NotAfter.Add(time.Minute))
			_, err = stream.Recv()
			if took := time.Since(start); took > 10*time.Second { // a second, and a busy machine
				t.Errorf("after %v", took)
			}
			want := codes.Unavailable
			if name == "transport" {
				want = codes.PermissionDenied
			}
			if status.Code(err) != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

// The limit of a port answers in the protocol of the call too. On HTTP/2 it
// is net/http that answers.
func TestLimitOfThePortHasACode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serveHTTP(t)
	transport := &http.Transport{TLSClientConfig: s.tls("alice")} // HTTP/1.1
	defer transport.CloseIdleConnections()
	client := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](&http.Client{Transport: transport}, "https://"+s.port.Addr().String()+"/acme.Echo/Say")
	r := connect.NewRequest(wrapperspb.String("hello"))
	for range 11 {
		r.Header().Add("X-Long", strings.Repeat("x", 6000)) // together more than the port accepts, and less than net/http does
	}
	_, err := client.CallUnary(t.Context(), r)
	if _, code, message := ofConnect("", err); code != codes.ResourceExhausted || message != http.StatusText(http.StatusRequestHeaderFieldsTooLarge) {
		t.Errorf("got %v, want ResourceExhausted with the text of 431", err)
	}
}
