package ports_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// TestMain allows more parallel tests than processors: a test of this package mostly waits for a
// limit. Tests that measure memory, goroutines or descriptors run in processes of their own.
func TestMain(m *testing.M) {
	testkit.AllowParallel(32)
	os.Exit(m.Run())
}

// patience is the timeout of an operation that must succeed.
const patience = testkit.Patience / 2

var (
	clientCA = testpki.NewCA("Client CA")
	otherCA  = testpki.NewCA("Other CA")
	serverCA = testpki.NewCA("Server CA")
	server   = serverCA.Server().TLS()
	alice    = clientCA.Leaf("alice")
	bob      = clientCA.Leaf("bob")
)

func trusting(t testing.TB, c trust.Config) *trust.Verifier {
	t.Helper()
	v, err := trust.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// byClientCA returns a trust of clientCA that revokes the given leaves.
func byClientCA(t testing.TB, revoked ...*testpki.Pair) *trust.Verifier {
	t.Helper()
	c := trust.Config{Anchors: []*x509.Certificate{clientCA.Cert}}
	for i, p := range revoked {
		list := clientCA.CRL(int64(i+1), nil, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: p.Cert.SerialNumber, RevocationTime: time.Now()})
		})
		c.CRLs = append(c.CRLs, list)
	}
	return trusting(t, c)
}

func byOtherCA(t testing.TB) *trust.Verifier {
	t.Helper()
	return trusting(t, trust.Config{Anchors: []*x509.Certificate{otherCA.Cert}})
}

// events records handshakes.
type events struct {
	mu  sync.Mutex
	all []ports.Handshake
}

func (e *events) record(h ports.Handshake) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, h)
}

func (e *events) find(want func(ports.Handshake) bool) (ports.Handshake, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.all {
		if want(h) {
			return h, true
		}
	}
	return ports.Handshake{}, false
}

// of waits for the handshake of a client's address.
func (e *events) of(t testing.TB, client net.Addr) ports.Handshake {
	t.Helper()
	var found ports.Handshake
	testkit.Eventually(t, "the port reports the handshake of "+client.String(), func() bool {
		h, ok := e.find(func(h ports.Handshake) bool { return h.Remote.String() == client.String() })
		found = h
		return ok
	})
	return found
}

func (e *events) count(r reason.Reason) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, h := range e.all {
		if h.Reason == r {
			n++
		}
	}
	return n
}

// config returns a configuration that trusts clientCA; its events are recorded. On a busy machine a
// handshake may take longer than the default limit.
func config(t testing.TB, mode ports.ClientAuth) (ports.Config, *events) {
	t.Helper()
	e := &events{}
	c := ports.Config{
		Name: mode.String(), Addr: "127.0.0.1:0", ClientAuth: mode, OnHandshake: e.record,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &server, nil },
		Limits:      ports.Limits{Handshake: patience},
	}
	if mode != ports.None {
		c.Trust = byClientCA(t)
	}
	return c, e
}

func newPort(t testing.TB, c ports.Config) *ports.Port {
	t.Helper()
	p, err := ports.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func reconfigure(t testing.TB, p *ports.Port, c ports.Config) {
	t.Helper()
	if err := p.Reconfigure(c); err != nil {
		t.Fatal(err)
	}
}

// serve runs h on ports until the test ends, or stop is called; stop returns what
// Serve returned.
func serve(t testing.TB, h http.Handler, list ...*ports.Port) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	s := &ports.Server{Handler: h, Ports: list, Ready: func() { close(ready) }}
	go func() { ended <- s.Serve(ctx) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("Serve: %v", err)
	}
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return stop
}

// serving serves echoCaller on one port.
func serving(t testing.TB, c ports.Config) *ports.Port {
	t.Helper()
	c.Limits.Drain = time.Second
	p := newPort(t, c)
	serve(t, http.HandlerFunc(echoCaller), p)
	return p
}

// echoCaller answers with the port, the caller and the protocol.
func echoCaller(w http.ResponseWriter, r *http.Request) {
	c, ok := ports.FromContext(r.Context())
	if !ok {
		fmt.Fprint(w, "no connection")
		return
	}
	fmt.Fprintf(w, "%s %s %s", c.Port().Name(), nameOf(c.Verified(r.Context())), r.Proto)
}

func nameOf(v trust.Verified, err error) string {
	if refusal, ok := errors.AsType[*reason.Refusal](err); ok {
		return string(refusal.Reason)
	}
	if err != nil || v.IsZero() {
		return "broken"
	}
	return v.Leaf().Subject.CommonName
}

// watched closes gone when the connection ends: the server ends it, or the
// client's transport does because the server announced it.
type watched struct {
	net.Conn
	once sync.Once
	gone chan struct{}
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.once.Do(func() { close(w.gone) })
	}
	return n, err
}

func (w *watched) Close() error {
	w.once.Do(func() { close(w.gone) })
	return w.Conn.Close()
}

// caller is one connection of a client.
type caller struct {
	*tls.Conn
	local net.Addr
	gone  chan struct{}
	http  *http.Client
}

type tlsOption func(*tls.Config)

func h1(c *tls.Config)    { c.NextProtos = []string{"http/1.1"} }
func tls12(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }

// clientConfig sends p's certificate for every CertificateRequest; a nil p sends none.
func clientConfig(p *testpki.Pair, options ...tlsOption) *tls.Config {
	c := &tls.Config{RootCAs: serverCA.Pool(), ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if p == nil {
			return &tls.Certificate{}, nil
		}
		own := p.TLS()
		return &own, nil
	}
	for _, o := range options {
		o(c)
	}
	return c
}

// dial connects and makes a handshake, and reads nothing after it. The error is the error of
// the handshake.
func dial(t testing.TB, p *ports.Port, c *tls.Config) (*caller, error) {
	t.Helper()
	return over(connect(t, p), c)
}

func over(raw net.Conn, c *tls.Config) (*caller, error) {
	w := &watched{Conn: raw, gone: make(chan struct{})}
	own := &caller{Conn: tls.Client(w, c), local: raw.LocalAddr(), gone: w.gone}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := own.HandshakeContext(ctx); err != nil {
		return own, err
	}
	used := false
	own.http = &http.Client{Timeout: patience, Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			if used {
				return nil, errors.New("the connection has ended")
			}
			used = true
			return own.Conn, nil
		},
	}}
	return own, nil
}

// get makes a request on this connection and no other.
func (c *caller) get(path string) (string, *http.Response, error) {
	r, err := c.http.Get("https://localhost" + path)
	if err != nil {
		return "", nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return string(body), r, err
}

// dialAndGet makes a handshake and a request, and returns the answer. In TLS 1.3 the client finishes
// its handshake before the server has verified it, so only the answer counts.
func dialAndGet(t testing.TB, p *ports.Port, c *tls.Config) (string, *caller, error) {
	t.Helper()
	own, err := dial(t, p, c)
	if err != nil {
		return "", own, err
	}
	body, _, err := own.get("/")
	return body, own, err
}

// admitted connects and makes a request, which must be answered.
func admitted(t testing.TB, p *ports.Port, c *tls.Config) *caller {
	t.Helper()
	_, own, err := dialAndGet(t, p, c)
	if err != nil {
		t.Fatalf("not served: %v", err)
	}
	return own
}

// refused connects, which must end without an answer, and returns the event.
func refused(t testing.TB, p *ports.Port, e *events, c *tls.Config, want reason.Reason) (ports.Handshake, error) {
	t.Helper()
	body, own, err := dialAndGet(t, p, c)
	if err == nil {
		t.Fatalf("served: %q", body)
	}
	h := e.of(t, own.local)
	if h.Reason != want || h.Err == nil {
		t.Fatalf("the event has the reason %q (%v), want %q", h.Reason, h.Err, want)
	}
	return h, err
}

// ends waits for the end of a connection and returns how long it took.
func (c *caller) ends(t testing.TB) time.Duration {
	t.Helper()
	start := time.Now()
	select {
	case <-c.gone:
	case <-time.After(patience):
		t.Fatal("the connection is still open")
	}
	return time.Since(start)
}

func (c *caller) open() bool {
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}

// quiet keeps the log of a test that panics on purpose away from the terminal.
func quiet(t *testing.T) {
	former := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(former) })
}
