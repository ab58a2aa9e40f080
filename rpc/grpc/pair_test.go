package guardgrpc_test

import (
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	guardgrpc "github.com/mtlsguard/mtlsguard/rpc/grpc"
	"github.com/mtlsguard/mtlsguard/trust"
)

// revoke returns a CRL of the site's authority.
func (s *site) revoke(p *testpki.Pair) *x509.RevocationList {
	return s.ca.CRL(1, []*big.Int{p.Cert.SerialNumber})
}

// mapAll maps alice's certificate to another user.
func (s *site) mapAll(tb testing.TB, user string) *certmap.Table {
	tb.Helper()
	return must[*certmap.Table](tb)(certmap.New(certmap.Mapping{ID: "m", User: user, Fingerprint: trust.FingerprintOf(s.alice.Cert)}))
}

// Half of the setup refuses every call, in both ways of a call, and logs why.
func TestHalfOfTheSetupRefusesEveryCall(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		options func(*testing.T, *site) []grpc.ServerOption
		log     string // in the program's log
	}{
		"credentials without options": {func(_ *testing.T, s *site) []grpc.ServerOption {
			return []grpc.ServerOption{grpc.Creds(guardgrpc.Credentials(s.port))}
		}, "the server has the credentials without the guard"},
		"the credentials beside options without them": {func(_ *testing.T, s *site) []grpc.ServerOption {
			return append(guardgrpc.ServerOptions(s.guard, nil), grpc.Creds(guardgrpc.Credentials(s.port)))
		}, "the options have no credentials"},
		"the same credentials once more": {func(_ *testing.T, s *site) []grpc.ServerOption {
			c := guardgrpc.Credentials(s.port)
			return append(guardgrpc.ServerOptions(s.guard, c), grpc.Creds(c))
		}, "the server has the credentials without the guard"},
		"no guard": {func(_ *testing.T, s *site) []grpc.ServerOption {
			return guardgrpc.ServerOptions(nil, guardgrpc.Credentials(s.port))
		}, "the guard that ServerOptions got is nil"},
		"a guard for other ports": {func(t *testing.T, s *site) []grpc.ServerOption {
			s.config.PerPort = map[string]middleware.PortConfig{"intern": {}}
			return guardgrpc.ServerOptions(must[*middleware.Guard](t)(middleware.New(s.config)), guardgrpc.Credentials(s.port))
		}, "there is no port of this name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ports.Require, aliceMayEcho)
			s.serve(t, row.options(t, s)...)
			cc := s.dial(t, s.alice)
			_, err := say(t.Context(), cc, "hello", grpc.WaitForReady(true))
			wants(t, err, codes.Internal, "The server is not set up correctly (no-port)")
			_, err = receive(chat(t, s.dial(t, s.alice), "/acme.Echo/Chat"))
			wants(t, err, codes.Internal, "The server is not set up correctly (no-port)")
			testkit.Eventually(t, "the log says why", func() bool { return strings.Contains(programLog.String(), row.log) })
		})
	}
}

// Without the credentials, or with those of another server, the guard refuses each call.
func TestOptionsWithOtherCredentialsRefuseEveryCall(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Require, aliceMayEcho)
	server := s.serverCA.Server()
	plain := insecure.NewCredentials()
	tlsClient := credentials.NewTLS(&tls.Config{RootCAs: s.serverCA.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{s.alice.TLS()}})
	own := credentials.NewServerTLSFromCert(&tls.Certificate{Certificate: server.TLS().Certificate, PrivateKey: server.Key})
	other := guardgrpc.ServerOptions(s.guard, guardgrpc.Credentials(s.port))
	for name, row := range map[string]struct {
		options []grpc.ServerOption
		client  credentials.TransportCredentials
		onPort  bool
	}{
		"plain text":                        {guardgrpc.ServerOptions(s.guard, nil), plain, false},
		"credentials of grpc":               {append(s.options(), grpc.Creds(own)), tlsClient, false},
		"credentials of grpc, none of ours": {append(guardgrpc.ServerOptions(s.guard, nil), grpc.Creds(own)), tlsClient, false},
		"the options of two servers, mixed": {append(s.options(), other[4]), tlsClient, true},
	} {
		l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
		if row.onPort {
			l = s.port.Wrap(l)
		}
		serveOn(t, l, row.options...)
		_, err := say(t.Context(), dial(t, l.Addr().String(), row.client), "hello")
		wants(t, err, codes.Internal, "The server is not set up correctly (no-port, reference ")
		if o := s.last(); o.Reason != reason.NoPort {
			t.Errorf("%s: observed %s, want %s", name, o.Reason, reason.NoPort)
		}
		_, err = receive(chat(t, dial(t, l.Addr().String(), row.client), "/acme.Echo/Chat"))
		wants(t, err, codes.Internal, "The server is not set up correctly (no-port, reference ")
	}
}

// A listener that is not the port's makes no handshake, so every caller is refused.
func TestOtherListenerRefusesEveryCaller(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Require, aliceMayEcho)
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	serveOn(t, l, s.options()...)
	tlsClient := credentials.NewTLS(&tls.Config{RootCAs: s.serverCA.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{s.alice.TLS()}})
	for _, client := range []credentials.TransportCredentials{insecure.NewCredentials(), tlsClient} {
		_, err := say(t.Context(), dial(t, l.Addr().String(), client), "hello")
		wants(t, err, codes.Unavailable, "")
	}
	testkit.Eventually(t, "the log says why", func() bool {
		return strings.Contains(programLog.String(), "serve the listener of Port.Listen or Port.Wrap")
	})
}

// ownRefusal tries to make a refusal a success.
func ownRefusal(w http.ResponseWriter, _ *http.Request, _ middleware.Outcome) {
	w.Header().Set("Grpc-Status", "0")
	w.WriteHeader(http.StatusOK)
}
