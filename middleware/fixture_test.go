package middleware_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// TestMain allows more parallel tests than processors: a parallel test of this package mostly
// waits for its connections.
func TestMain(m *testing.M) {
	testkit.AllowParallel(12)
	os.Exit(m.Run())
}

// pki holds the certificates of all tests: making certificates takes longer than using them.
type pki struct {
	ca, serverCA                                *testpki.Pair
	server                                      tls.Certificate
	alice, bob, unmapped, both, untrusted, late *testpki.Pair
	pairs                                       map[string]*testpki.Pair // by name, "" is no certificate
}

var shared = sync.OnceValue(func() *pki {
	w := &pki{ca: testpki.NewCA("Client CA"), serverCA: testpki.NewCA("Server CA")}
	server := w.serverCA.Server(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "api.acme.example", "other.example") })
	w.server = server.TLS()
	w.alice, w.bob, w.unmapped = w.ca.Leaf("alice"), w.ca.Leaf("bob"), w.ca.Leaf("unmapped")
	w.both = w.ca.Leaf("both", func(c *x509.Certificate) { c.DNSNames = []string{"a.example", "b.example"} })
	w.untrusted = testpki.NewCA("Other CA").Leaf("alice")
	w.late = w.ca.Leaf("alice", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	w.pairs = map[string]*testpki.Pair{
		"": nil, "alice": w.alice, "bob": w.bob, "unmapped": w.unmapped, "both": w.both, "untrusted": w.untrusted, "expired": w.late,
	}
	return w
})

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func newTrust(tb testing.TB, now func() time.Time) *trust.Verifier {
	tb.Helper()
	return must[*trust.Verifier](tb)(trust.New(trust.Config{Anchors: []*x509.Certificate{shared().ca.Cert}, Now: now}))
}

// newPort returns a port that does not listen yet.
func newPort(tb testing.TB, name string, mode ports.ClientAuth, change ...func(*ports.Config)) *ports.Port {
	tb.Helper()
	c := ports.Config{
		Name: name, Addr: "127.0.0.1:0", ClientAuth: mode,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &shared().server, nil },
		Limits:      ports.Limits{Drain: 50 * time.Millisecond},
	}
	if mode != ports.None {
		c.Trust = newTrust(tb, nil)
	}
	for _, f := range change {
		f(&c)
	}
	return must[*ports.Port](tb)(ports.New(c))
}

// serve runs a handler on ports until the test ends.
func serve(tb testing.TB, h http.Handler, open ...*ports.Port) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	for _, port := range open {
		serveOn(tb, h, port, must[net.Listener](tb)(port.Listen(ctx)))
	}
}

// serveOn runs a handler on the listener of a port until the test ends. It has an http.Server of its
// own, so that clients know when the server has finished with a connection.
func serveOn(tb testing.TB, h http.Handler, port *ports.Port, l net.Listener) {
	tb.Helper()
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ConnState: func(c net.Conn, s http.ConnState) {
		connStates.Store(c.RemoteAddr().String(), s)
	}}
	if err := port.Configure(server); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	tb.Cleanup(func() {
		server.Close()
		if err := <-ended; err != http.ErrServerClosed {
			tb.Error(err)
		}
	})
}

// pipes are the listeners of the ports that are served over pipes, by their *ports.Port.
var pipes sync.Map

// servePipes is serve over pipes, for testkit.OnFakeClock.
func servePipes(tb testing.TB, h http.Handler, port *ports.Port) {
	tb.Helper()
	l := chanlisten.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	pipes.Store(port, l)
	tb.Cleanup(func() {
		pipes.Delete(port)
		time.Sleep(10 * time.Minute) // every goroutine of the port ends, such as its sweep
	})
	serveOn(tb, h, port, port.Wrap(l))
}

// connect returns a connection to a port, over TCP or a pipe.
func connect(port *ports.Port) (net.Conn, error) {
	l, ok := pipes.Load(port)
	if !ok {
		return net.Dial("tcp", port.Addr().String())
	}
	client, server := testkit.Pipe()
	return client, l.(*chanlisten.Listener).Hand(context.Background(), server)
}

// connStates holds the last http.ConnState of each client's address.
var connStates sync.Map

// waitUntilServed waits until no request of a client's connection is under way at the server.
// That is later than the end of the answer, and a change of trust ends the connections that
// are not idle.
func waitUntilServed(tb testing.TB, client net.Conn) {
	tb.Helper()
	testkit.Eventually(tb, "the server has finished with the connection", func() bool {
		s, _ := connStates.Load(client.LocalAddr().String())
		return s != http.StateActive
	})
}

// mappings maps alice and bob, and the certificate both to two users.
func mappings() []certmap.Mapping {
	w := shared()
	issuer := trust.SPKIOf(w.ca.Cert)
	return []certmap.Mapping{
		{ID: "m-alice", User: "alice", Fingerprint: trust.FingerprintOf(w.alice.Cert)},
		{ID: "m-bob", User: "bob", Fingerprint: trust.FingerprintOf(w.bob.Cert)},
		{ID: "m-a", User: "a", DNS: "a.example", Issuer: issuer},
		{ID: "m-b", User: "b", DNS: "b.example", Issuer: issuer},
	}
}

// newPolicy loads a policy. Without lines, everything is allowed.
func newPolicy(tb testing.TB, lines ...string) *policy.Engine {
	tb.Helper()
	if len(lines) == 0 {
		lines = []string{"p, group:Everybody, *, *, /*, allow", "p, group:Everybody, *, *, *, allow"}
	}
	return must[*policy.Engine](tb)(policy.Load("policy.csv", strings.NewReader(strings.Join(lines, "\n")+"\n")))
}

// config returns a Config that maps alice and bob and allows everything.
func config(tb testing.TB, change ...func(*middleware.Config)) middleware.Config {
	tb.Helper()
	c := middleware.Config{Map: must[*certmap.Table](tb)(certmap.New(mappings()...)), Policy: newPolicy(tb)}
	for _, f := range change {
		f(&c)
	}
	return c
}

func newGuard(tb testing.TB, change ...func(*middleware.Config)) *middleware.Guard {
	tb.Helper()
	return must[*middleware.Guard](tb)(middleware.New(config(tb, change...)))
}

// seen is the request as the handler behind the guard saw it, or a refusal.
type seen struct {
	Code      int         `json:"-"`
	Answer    http.Header `json:"-"`
	Body      string      `json:"-"`
	User      string
	Groups    []string
	Via       identity.Via
	Mapping   string
	Port      string
	Method    string
	Path      string
	Remote    string
	RawPath   string
	Query     string
	Headers   http.Header
	Trailers  http.Header
	Reason    reason.Reason
	Status    int
	Reference string
	Explained []string `json:"explanation"`
}

// echo answers with its view of the request, after it has read the body and the trailers.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	id, ok := identity.FromContext(r.Context())
	if !ok {
		http.Error(w, "no identity", http.StatusTeapot)
		return
	}
	json.NewEncoder(w).Encode(seen{
		User: id.User, Groups: id.Groups, Via: id.Via, Mapping: id.MappingID, Port: id.Port, Method: r.Method, Path: r.URL.Path, Remote: id.Remote.String(),
		RawPath: r.URL.RawPath, Query: r.URL.RawQuery, Headers: r.Header, Trailers: r.Trailer,
	})
})

func read(tb testing.TB, res *http.Response) seen {
	tb.Helper()
	defer res.Body.Close()
	body := must[[]byte](tb)(io.ReadAll(res.Body))
	s := seen{Code: res.StatusCode, Answer: res.Header, Body: string(body)}
	if len(body) > 0 && body[0] == '{' {
		if err := json.Unmarshal(body, &s); err != nil {
			tb.Fatalf("the answer %q is not JSON: %v", body, err)
		}
	}
	return s
}

func tlsConfig(p *testpki.Pair, protocols ...string) *tls.Config {
	c := &tls.Config{RootCAs: shared().serverCA.Pool(), ServerName: "localhost", NextProtos: protocols}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if p == nil {
			return &tls.Certificate{}, nil
		}
		own := p.TLS() // sent for any authorities in the CertificateRequest
		return &own, nil
	}
	return c
}

// client is a client of one port, with one connection.
type client struct {
	tb   testing.TB
	url  string
	http *http.Client
}

func dial(tb testing.TB, port *ports.Port, p *testpki.Pair, h2 bool) *client {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	t := &http.Transport{TLSClientConfig: tlsConfig(p), Protocols: protocols, MaxConnsPerHost: 1,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return connect(port) }}
	tb.Cleanup(t.CloseIdleConnections)
	return &client{tb, "https://" + port.Addr().String(), &http.Client{Transport: t, Timeout: testkit.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// do sends a request. err is the error of a refused handshake.
func (c *client) do(method, target string, change ...func(*http.Request)) (seen, error) {
	c.tb.Helper()
	var conn net.Conn
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { conn = i.Conn }})
	r := must[*http.Request](c.tb)(http.NewRequestWithContext(ctx, method, c.url+target, nil))
	for _, f := range change {
		f(r)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return seen{}, err
	}
	s := read(c.tb, res)
	waitUntilServed(c.tb, conn)
	return s, nil
}

func (c *client) get(target string, change ...func(*http.Request)) seen {
	c.tb.Helper()
	return must[seen](c.tb)(c.do("GET", target, change...))
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = append(r.Header[name], value) }
}

// rawConn is a connection with HTTP/1.1 requests written by hand.
type rawConn struct {
	tb testing.TB
	*tls.Conn
	r *bufio.Reader
}

func dialRaw(tb testing.TB, port *ports.Port, p *testpki.Pair, protocol string) *rawConn {
	tb.Helper()
	return dialNamed(tb, port, p, protocol, "localhost")
}

func dialNamed(tb testing.TB, port *ports.Port, p *testpki.Pair, protocol, name string) *rawConn {
	tb.Helper()
	cfg := tlsConfig(p, protocol)
	cfg.ServerName = name
	if name == "" {
		cfg.InsecureSkipVerify = true // no SNI, no name to verify
	}
	c := tls.Client(must[net.Conn](tb)(connect(port)), cfg)
	tb.Cleanup(func() { c.Close() })
	if err := c.Handshake(); err != nil {
		tb.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(testkit.Patience))
	return &rawConn{tb, c, bufio.NewReader(c)}
}

// send writes a request and reads the answer.
func (c *rawConn) send(text string) seen {
	c.tb.Helper()
	return read(c.tb, c.response(text))
}

func (c *rawConn) response(text string) *http.Response {
	c.tb.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.tb.Fatal(err)
	}
	return must[*http.Response](c.tb)(http.ReadResponse(c.r, &http.Request{Method: text[:strings.IndexByte(text, ' ')]}))
}

// recorder keeps outcomes.
type recorder struct {
	mu  sync.Mutex
	all []middleware.Outcome
}

func (o *recorder) observe(_ *http.Request, outcome middleware.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, outcome)
}

// take returns the outcomes since the last call.
func (o *recorder) take() []middleware.Outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := slices.Clone(o.all)
	o.all = nil
	return out
}

// want checks a refusal.
func (s seen) want(tb testing.TB, code int, why reason.Reason) {
	tb.Helper()
	if s.Code != code || s.Reason != why {
		tb.Errorf("answered %d %q, want %d %q: %s", s.Code, s.Reason, code, why, s.Body)
	}
	if code >= 400 && (s.Status != code || s.Reference == "" || s.Answer.Get("Content-Type") != "application/problem+json") {
		tb.Errorf("not a problem document with status %d and a reference: %v %s", code, s.Answer, s.Body)
	}
}

// wantUser checks an allowed request.
func (s seen) wantUser(tb testing.TB, user string) {
	tb.Helper()
	if s.Code != 200 || s.User != user {
		tb.Errorf("answered %d for %q, want 200 for %q: %s", s.Code, s.User, user, s.Body)
	}
}

func both(t *testing.T, f func(t *testing.T, h2 bool)) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) { t.Parallel(); f(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { t.Parallel(); f(t, true) })
}

type policyDecider = policy.Decider

func loadWithMethods(line string, methods ...string) (policy.Decider, error) {
	return policy.Load("policy.csv", strings.NewReader(line+"\n"), policy.WithMethods(methods...))
}
