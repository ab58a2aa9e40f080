package guardgrpc_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// wants checks the code of an error and a part of its message.
func wants(tb testing.TB, err error, code codes.Code, text string) {
	tb.Helper()
	if s := status.Convert(err); s.Code() != code || !strings.Contains(s.Message(), text) {
		tb.Errorf("%s %q, want %s and %q", s.Code(), s.Message(), code, text)
	}
}

var aliceMayEcho = "p, user:alice, *, POST, /acme.Echo/*, allow"

func TestCallsOfEveryKindHaveTheCaller(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Require, aliceMayEcho)
	s.serve(t, s.options()...)
	cc := s.dial(t, s.alice)
	if got, err := say(t.Context(), cc, "hello"); err != nil || got != "alice hello" {
		t.Errorf("unary: %q %v", got, err)
	}
	for method, want := range map[string][]string{
		"/acme.Echo/Chat":  {"alice a", "alice b"},
		"/acme.Echo/Sum":   {"alice a+b"},
		"/acme.Echo/Count": {"alice a", "alice a", "alice a"},
	} {
		stream := chat(t, cc, method)
		for _, text := range []string{"a", "b"} {
			if err := send(stream, text); err != nil {
				t.Errorf("%s: %v", method, err)
			}
			if method == "/acme.Echo/Count" {
				break // it takes one message
			}
		}
		stream.CloseSend()
		for _, text := range want {
			if got, err := receive(stream); err != nil || got != text {
				t.Errorf("%s: %q %v, want %q", method, got, err, text)
			}
		}
		if _, err := receive(stream); err != io.EOF {
			t.Errorf("%s: %v at its end", method, err)
		}
	}
	if o := s.last(); !o.Allowed || o.Identity.User != "alice" || o.Method != "POST" || o.Port != "internal" {
		t.Errorf("observed: %+v", o)
	}
}

// Each row spoils one property.
func TestRefusedCallsHaveACodeAndAReference(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Request, aliceMayEcho, "p, user:bob, *, POST, /acme.Echo/Sum, allow", "p, user:bob, *, POST, /acme.Echo/Count, deny")
	s.serve(t, s.options()...)
	unmapped := s.ca.Leaf("carol")
	for name, row := range map[string]struct {
		call    func() error
		code    codes.Code
		message string
		reason  reason.Reason
	}{
		"no rule": {func() error { _, err := say(t.Context(), s.dial(t, s.bob), "x"); return err }, codes.PermissionDenied, "Not allowed (no-rule, reference ", reason.NoRule},
		"no rule for a stream": {func() error { _, err := receive(chat(t, s.dial(t, s.bob), "/acme.Echo/Chat")); return err },
			codes.PermissionDenied, "Not allowed (no-rule, reference ", reason.NoRule},
		"denied":         {func() error { _, err := receive(chat(t, s.dial(t, s.bob), "/acme.Echo/Count")); return err }, codes.PermissionDenied, "Denied (denied, reference ", reason.Denied},
		"unmapped":       {func() error { _, err := say(t.Context(), s.dial(t, unmapped), "x"); return err }, codes.PermissionDenied, "belongs to no user (unmapped, ", reason.Unmapped},
		"no certificate": {func() error { _, err := say(t.Context(), s.dial(t, nil), "x"); return err }, codes.PermissionDenied, "(no-certificate, ", reason.NoCertificate},
		"unknown method without a rule": {func() error { _, err := receive(chat(t, s.dial(t, s.bob), "/acme.Secret/X")); return err },
			codes.PermissionDenied, "(no-rule, ", reason.NoRule},
		"a path with a dot segment": {func() error { _, err := receive(chat(t, s.dial(t, s.alice), "/acme.Echo/../Say")); return err },
			codes.InvalidArgument, "(ambiguous-path, ", reason.AmbiguousPath},
	} {
		err := row.call()
		wants(t, err, row.code, row.message)
		if o := s.last(); o.Reason != row.reason || !strings.Contains(status.Convert(err).Message(), o.Reference) || o.Reference == "" {
			t.Errorf("%s: observed %s, reference %q, of %v", name, o.Reason, o.Reference, err)
		}
	}
	stream := chat(t, s.dial(t, s.alice), "/acme.Echo/Nothing")
	_, err := receive(stream)
	wants(t, err, codes.Unimplemented, "/acme.Echo/Nothing")
}

// Covers X4.
func TestIdentityMetadataIsDeleted(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Require, aliceMayEcho)
	s.serve(t, s.options()...)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-forwarded-client-cert", "Subject=\"CN=bob\"", "x-ssl-client-cert", "x", "certainly", "kept")
	if got, err := say(ctx, s.dial(t, s.alice), "hello"); err != nil || got != "alice hello certainly" {
		t.Errorf("got %q %v, want alice hello certainly", got, err)
	}
}

func TestStreamEndsWhenItsCallerMayNotCallAnyMore(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		spoil  func(*testing.T, *site)
		reason reason.Reason
	}{
		"policy": {func(t *testing.T, s *site) {
			s.config.Policy = newPolicy(t, "p, user:bob, *, POST, /acme.Echo/*, allow")
			if err := s.guard.Reconfigure(s.config); err != nil {
				t.Fatal(err)
			}
		}, reason.NoRule},
		"expiry": {func(_ *testing.T, s *site) { s.clock.Set(s.alice.Cert.NotAfter.Add(time.Minute)) }, reason.Expired},
		"revocation": {func(t *testing.T, s *site) {
			c := s.portConfig(t, ports.Require, s.revoke(s.alice))
			if err := s.port.Reconfigure(c); err != nil {
				t.Fatal(err)
			}
		}, reason.Revoked},
		"mapping to another user": {func(t *testing.T, s *site) {
			s.config.Map = s.mapAll(t, "bob")
			s.config.Policy = newPolicy(t, "p, group:Authenticated, *, *, /acme.Echo/*, allow")
			if err := s.guard.Reconfigure(s.config); err != nil {
				t.Fatal(err)
			}
		}, reason.MappingExpired},
	} {
		for _, method := range []string{"/acme.Echo/Chat", "/acme.Echo/Sum", "/acme.Echo/Flood"} {
			t.Run(name+method, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, ports.Require, aliceMayEcho)
				s.serve(t, s.options()...)
				stream := chat(t, s.dial(t, s.alice), method)
				if err := send(stream, "a"); err != nil {
					t.Fatal(err)
				}
				testkit.Eventually(t, "the stream has begun", func() bool { return s.last().Allowed })
				start := time.Now()
				row.spoil(t, s)
				err := error(nil)
				for err == nil {
					_, err = receive(stream)
				}
				if took := time.Since(start); took > 10*time.Second { // a second, and a busy machine
					t.Errorf("after %v", took)
				}
				wants(t, err, codes.PermissionDenied, string(row.reason)+", reference ")
				if o := s.last(); o.Reason != row.reason {
					t.Errorf("observed %s, want %s", o.Reason, row.reason)
				}
			})
		}
	}
}

// A stream whose caller keeps the right goes on through changes.
func TestStreamGoesOnWhileItsCallerMayCall(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Require, aliceMayEcho)
	s.serve(t, s.options()...)
	stream := chat(t, s.dial(t, s.alice), "/acme.Echo/Chat")
	for _, rules := range []string{"p, user:alice, internal, POST, /acme.Echo/Chat, allow", "p, group:Everybody, *, *, /acme.Echo/*, allow"} {
		s.config.Policy = newPolicy(t, rules)
		if err := s.guard.Reconfigure(s.config); err != nil {
			t.Fatal(err)
		}
		if err := s.port.Reconfigure(s.portConfig(t, ports.Require, s.revoke(s.bob))); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := send(stream, "a"); err != nil {
				t.Fatal(err)
			}
			if got, err := receive(stream); err != nil || got != "alice a" {
				t.Fatalf("got %q %v, want alice a", got, err)
			}
			time.Sleep(400 * time.Millisecond) // longer than a round of checks, together
		}
	}
}

// The outermost interceptor is the guard's, whatever options follow.
func TestSecondOutermostInterceptorPanics(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Require, aliceMayEcho)
	for name, option := range map[string]func() grpc.ServerOption{
		"unary":  func() grpc.ServerOption { return grpc.UnaryInterceptor(nil) },
		"stream": func() grpc.ServerOption { return grpc.StreamInterceptor(nil) },
		"tap":    func() grpc.ServerOption { return grpc.InTapHandle(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: grpc.NewServer accepted a second one", name)
				}
			}()
			grpc.NewServer(append(s.options(), option())...)
		}()
	}
}

// Covers X5: grpc reads the message of a unary call before the interceptor runs.
func TestFirstMessageHasADeadline(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Require, aliceMayEcho)
	c := s.portConfig(t, ports.Require)
	c.Limits.Idle = time.Second
	s.port = must[*ports.Port](t)(ports.New(c))
	s.serve(t, s.options()...)
	cc := s.dial(t, s.alice)
	stream := must[grpc.ClientStream](t)(cc.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/acme.Echo/Say"))
	start := time.Now()
	_, err := receive(stream)
	wants(t, err, codes.Canceled, "")
	if took := time.Since(start); took > 20*time.Second { // three seconds, and a busy machine
		t.Errorf("after %v", took)
	}
	if o := s.last(); o.Port != "" {
		t.Errorf("the guard has decided: %+v", o)
	}
	if got, err := say(t.Context(), cc, "hello"); err != nil || got != "alice hello" { // the connection stays
		t.Errorf("got %q %v, want alice hello", got, err)
	}
}

// Code that was written for grpc's own TLS finds what it expects.
func TestPeerHasTLSInfo(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Require, aliceMayEcho)
	var got []string
	s.serve(t, append(s.options(), grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		from, _ := peer.FromContext(ctx)
		if info, ok := from.AuthInfo.(credentials.TLSInfo); ok {
			got = append(got, from.Addr.Network(), info.State.PeerCertificates[0].Subject.CommonName)
		}
		return handler(ctx, req)
	}))...)
	if _, err := say(t.Context(), s.dial(t, s.alice), "hello"); err != nil || !slices.Equal(got, []string{"tcp", "alice"}) {
		t.Errorf("got %q %v", got, err)
	}
}
