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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
	"github.com/mtlsguard/mtlsguard/reason"
)

// The authorities of all tests: keys take time to make.
var (
	clientCA = testpki.NewCA("Client CA")
	serverCA = testpki.NewCA("Server CA")
	server   = serverCA.Server()
)

// world is a keystore, and what the transport told.
type world struct {
	testing.TB
	keys   *keystore.Memory
	config outbound.Config

	mu     sync.Mutex
	events []outbound.Handshake
}

func newWorld(tb testing.TB, aliases ...string) *world {
	w := &world{TB: tb, keys: new(keystore.Memory)}
	w.config = outbound.Config{Keystore: w.keys, Roots: serverCA.Pool(), OnHandshake: w.observe}
	for _, a := range aliases {
		w.put(w.credential(a, clientCA.Leaf(a)))
	}
	return w
}

func (w *world) observe(h outbound.Handshake) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, h)
}

// told returns the handshakes since the last call.
func (w *world) told() []outbound.Handshake {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.events
	w.events = nil
	return out
}

func (w *world) credential(alias string, p *testpki.Pair, origins ...string) *outbound.Credential {
	w.Helper()
	c, err := outbound.NewCredential(alias, p.TLS(), origins...)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) put(all ...*outbound.Credential) {
	w.Helper()
	if err := w.keys.Put(all...); err != nil {
		w.Fatal(err)
	}
}

// transport is built from the config as it is now.
func (w *world) transport() *outbound.Transport {
	w.Helper()
	t, err := outbound.New(w.config)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(t.Close)
	return t
}

func (w *world) client() *http.Client {
	w.Helper()
	return &http.Client{Transport: w.transport(), Timeout: 20 * time.Second}
}

// site is a server that answers with the name that it saw.
type site struct {
	*httptest.Server
	conns    atomic.Int64 // accepted
	requests atomic.Int64
	unnamed  atomic.Int64 // requests without a certificate
	log      output       // of the server

	mu   sync.Mutex
	open map[net.Conn]bool
}

type option func(*httptest.Server)

func tls12(s *httptest.Server)    { s.TLS.MaxVersion = tls.VersionTLS12 }
func http1(s *httptest.Server)    { s.EnableHTTP2 = false; s.TLS.NextProtos = []string{"http/1.1"} }
func wants(s *httptest.Server)    { s.TLS.ClientAuth = tls.RequestClientCert; s.TLS.ClientCAs = nil }
func asksNot(s *httptest.Server)  { s.TLS.ClientAuth = tls.NoClientCert }
func plainly(s *httptest.Server)  { s.TLS = nil }
func requires(s *httptest.Server) { s.TLS.ClientAuth = tls.RequireAndVerifyClientCert }

// serve starts a server that asks for a certificate; it answers with the name that it
// saw, unless a handler is given.
func serve(tb testing.TB, h http.HandlerFunc, options ...option) *site {
	tb.Helper()
	s := &site{open: map[net.Conn]bool{}}
	if h == nil {
		h = echo
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if name(r) == "nobody" {
			s.unnamed.Add(1)
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

func name(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "nobody"
	}
	return r.TLS.PeerCertificates[0].Subject.CommonName
}

func echo(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, name(r)) }

// get returns the body, or the error.
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

// expect calls and compares.
func expect(tb testing.TB, ctx context.Context, c *http.Client, url, want string) {
	tb.Helper()
	if got, err := get(ctx, c, url); got != want || err != nil {
		tb.Errorf("%s: %q, %v; want %q", url, got, err, want)
	}
}

// fails calls and wants this error, as an *outbound.Error.
func fails(tb testing.TB, ctx context.Context, c *http.Client, url string, want error) *outbound.Error {
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

func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("it never happened: %s", what)
		}
	}
}

func as(tb testing.TB, alias string) context.Context { return outbound.As(tb.Context(), alias) }

func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
func future(c *x509.Certificate)  { c.NotBefore = time.Now().Add(time.Hour) }

// signer counts what it signs.
type signer struct {
	crypto.Signer
	used atomic.Int64
}

func (s *signer) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.used.Add(1)
	return s.Signer.Sign(r, digest, opts)
}

// ticker is a clock that the test moves.
type ticker struct{ ahead atomic.Int64 }

func (c *ticker) now() time.Time      { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *ticker) add(d time.Duration) { c.ahead.Add(int64(d)) }

// open counts the connections that the server has.
func open(s *site) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}
