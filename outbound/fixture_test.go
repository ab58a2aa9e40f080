package outbound_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
	"github.com/mtlsguard/mtlsguard/reason"
)

// TestMain allows more parallel tests than processors: a test of this package mostly waits.
func TestMain(m *testing.M) {
	testkit.AllowParallel(16)
	os.Exit(m.Run())
}

// The authorities are shared by all tests because generating keys is slow.
var (
	clientCA = testpki.NewCA("Client CA")
	serverCA = testpki.NewCA("Server CA")
	server   = serverCA.Server()
)

// fixture is a keystore, a Config, and the reported handshakes.
type fixture struct {
	testing.TB
	keys   *keystore.Memory
	config outbound.Config

	mu     sync.Mutex
	events []outbound.Handshake
}

func newFixture(tb testing.TB, aliases ...string) *fixture {
	w := &fixture{TB: tb, keys: new(keystore.Memory)}
	w.config = outbound.Config{Keystore: w.keys, Roots: serverCA.Pool(), OnHandshake: w.addEvent}
	for _, a := range aliases {
		w.put(w.credential(a, clientCA.Leaf(a)))
	}
	return w
}

func (w *fixture) addEvent(h outbound.Handshake) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, h)
}

// takeEvents returns the handshakes since the last call.
func (w *fixture) takeEvents() []outbound.Handshake {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.events
	w.events = nil
	return out
}

func (w *fixture) credential(alias string, p *testpki.Pair, origins ...string) *outbound.Credential {
	w.Helper()
	c, err := outbound.NewCredential(alias, p.TLS(), origins...)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *fixture) put(all ...*outbound.Credential) {
	w.Helper()
	if err := w.keys.Put(all...); err != nil {
		w.Fatal(err)
	}
}

// transport returns a Transport of the current config.
func (w *fixture) transport() *outbound.Transport {
	w.Helper()
	t, err := outbound.New(w.config)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(t.Close)
	return t
}

func (w *fixture) client() *http.Client {
	w.Helper()
	return &http.Client{Transport: w.transport(), Timeout: testkit.Patience}
}

// testServer answers with the common name of the client certificate.
type testServer struct {
	*httptest.Server
	conns       atomic.Int64 // accepted connections
	requests    atomic.Int64
	withoutCert atomic.Int64   // requests without a certificate
	log         testkit.Buffer // the server's log

	mu   sync.Mutex
	open map[net.Conn]bool
}

type option func(*httptest.Server)

func tls12(s *httptest.Server)        { s.TLS.MaxVersion = tls.VersionTLS12 }
func http1(s *httptest.Server)        { s.EnableHTTP2 = false; s.TLS.NextProtos = []string{"http/1.1"} }
func requestsAny(s *httptest.Server)  { s.TLS.ClientAuth = tls.RequestClientCert; s.TLS.ClientCAs = nil }
func requestsNone(s *httptest.Server) { s.TLS.ClientAuth = tls.NoClientCert }
func withoutTLS(s *httptest.Server)   { s.TLS = nil }
func requires(s *httptest.Server)     { s.TLS.ClientAuth = tls.RequireAndVerifyClientCert }

// serve starts a server that requests a certificate. Without a handler it answers with the
// client's name.
func serve(tb testing.TB, h http.HandlerFunc, options ...option) *testServer {
	tb.Helper()
	s := &testServer{open: map[net.Conn]bool{}}
	if h == nil {
		h = echo
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if clientName(r) == "anonymous" {
			s.withoutCert.Add(1)
		}
		h(rw, r)
	}))
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{server.TLS()},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    clientCA.Pool(),
	}
	s.Config.ErrorLog = log.New(&s.log, "", 0)
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch state {
		case http.StateNew:
			s.conns.Add(1)
			s.open[c] = true
		case http.StateClosed, http.StateHijacked:
			delete(s.open, c)
		}
	}
	for _, o := range options {
		o(s.Server)
	}
	if s.TLS == nil {
		s.Start()
	} else {
		s.StartTLS()
	}
	tb.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func clientName(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "anonymous"
	}
	return r.TLS.PeerCertificates[0].Subject.CommonName
}

func echo(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, clientName(r)) }

// get returns the body of a call, or its error.
func get(ctx context.Context, c *http.Client, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return "", err
	}
	return read(c.Do(r))
}

func read(response *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return string(b), err
}

// wantBody makes a call and compares the body.
func wantBody(tb testing.TB, ctx context.Context, c *http.Client, url, want string) {
	tb.Helper()
	if got, err := get(ctx, c, url); got != want || err != nil {
		tb.Errorf("%s: %q, %v; want %q", url, got, err, want)
	}
}

// wantError makes a call that must fail with an *outbound.Error that wraps want.
func wantError(tb testing.TB, ctx context.Context, c *http.Client, url string, want error) *outbound.Error {
	tb.Helper()
	got, err := get(ctx, c, url)
	e, ok := errors.AsType[*outbound.Error](err)
	if as, isReason := want.(errRefusedAs); isReason {
		refusal, refused := errors.AsType[*reason.Refusal](err)
		ok = ok && refused && refusal.Reason == reason.Reason(as)
		err, want = nil, nil
	}
	if !ok || !errors.Is(err, want) {
		tb.Errorf("%s: %q, %v; want %v", url, got, err, want)
		return &outbound.Error{Err: errors.New("none")}
	}
	return e
}

// errRefusedAs stands for a *reason.Refusal with the reason.
type errRefusedAs reason.Reason

func (e errRefusedAs) Error() string { return "a refusal as " + string(e) }

func as(tb testing.TB, alias string) context.Context { return outbound.As(tb.Context(), alias) }

func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
func future(c *x509.Certificate)  { c.NotBefore = time.Now().Add(time.Hour) }

// countingSigner counts its signatures.
type countingSigner struct {
	crypto.Signer
	used atomic.Int64
}

func (s *countingSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.used.Add(1)
	return s.Signer.Sign(r, digest, opts)
}

// openConns returns the number of connections of the server.
func openConns(s *testServer) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}
