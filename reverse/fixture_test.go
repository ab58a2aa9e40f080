package reverse_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// patience is how long a test waits for an event that must happen.
const patience = testkit.Patience

// The authorities of callers, of the external port, of servers that register, and of
// gateways.
var (
	userCA    = testpki.NewCA("User CA")
	webCA     = testpki.NewCA("Web CA")
	serverCA  = testpki.NewCA("Server CA")
	gatewayCA = testpki.NewCA("Gateway CA")

	web     = webCA.Server().TLS()
	alice   = userCA.Leaf("alice")
	bob     = userCA.Leaf("bob")
	orders  = serverCA.Leaf("orders")
	billing = serverCA.Leaf("billing")
	gate    = gatewayCA.Server()
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

// trusting returns a verifier that trusts one authority and has a CRL with the given leaves.
func trusting(tb testing.TB, ca *testpki.Pair, revoked ...*testpki.Pair) *trust.Verifier {
	tb.Helper()
	c := trust.Config{Anchors: []*x509.Certificate{ca.Cert}}
	if ca == gatewayCA {
		c.Usage = trust.UsageServer // the server calls the gateway
	}
	if len(revoked) > 0 {
		c.CRLs = []*x509.RevocationList{ca.CRL(1, nil, func(l *x509.RevocationList) {
			for _, p := range revoked {
				l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: p.Cert.SerialNumber, RevocationTime: time.Now()})
			}
		})}
	}
	return must[*trust.Verifier](tb)(trust.New(c))
}

// events records the events of a gateway or server.
type events struct {
	mu  sync.Mutex
	all []reverse.Event
}

func (e *events) record(x reverse.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, x)
}

func (e *events) count(kind string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, x := range e.all {
		if x.Kind == kind {
			n++
		}
	}
	return n
}

// errors returns the errors of all events.
func (e *events) errors() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []error
	for _, x := range e.all {
		if x.Err != nil {
			all = append(all, fmt.Errorf("%s: %w", x.Kind, x.Err))
		}
	}
	return errors.Join(all...)
}

// waitForRefusal waits for a refusal and returns its reason.
func (e *events) waitForRefusal(tb testing.TB) reason.Reason {
	tb.Helper()
	var why reason.Reason
	testkit.Eventually(tb, "a refusal", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, x := range e.all {
			if x.Kind == reverse.Refused && x.Reason != "" {
				why = x.Reason
				return true
			}
		}
		return false
	})
	return why
}

// authorizeByName lets a certificate serve the service that is its common name, and "shared".
func authorizeByName(_ context.Context, chain []*x509.Certificate) ([]string, error) {
	return []string{chain[0].Subject.CommonName, "shared"}, nil
}

// serviceByHeader returns the service that a request names, or orders.
func serviceByHeader(r *http.Request) string {
	if s := r.Header.Get("Service"); s != "" {
		return s
	}
	return "orders"
}

// dmz is a gateway with an external port and a registration port.
type dmz struct {
	gateway      *reverse.Gateway
	external     *ports.Port
	registration *ports.Port
	events       *events
	losing       sync.Mutex
}

type dmzOption func(*reverse.GatewayConfig, *ports.Config, *ports.Config)

func gatewayConfig(f func(*reverse.GatewayConfig)) dmzOption {
	return func(g *reverse.GatewayConfig, _, _ *ports.Config) { f(g) }
}

var discardLog = log.New(io.Discard, "", 0)

func portConfig(name string, mode ports.ClientAuth, certificate *tls.Certificate, v *trust.Verifier) ports.Config {
	return ports.Config{
		Name: name, Addr: "127.0.0.1:0", ClientAuth: mode, Trust: v,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil },
		Limits:      ports.Limits{Drain: 50 * time.Millisecond, PerIP: 10_000, Handshakes: 64, Handshake: time.Minute}, // a busy machine is no fault
	}
}

func newDMZ(tb testing.TB, options ...dmzOption) *dmz {
	tb.Helper()
	d := &dmz{events: &events{}}
	own := gate.TLS()
	external := portConfig("external", ports.Request, &web, trusting(tb, userCA))
	registration := portConfig("registration", ports.Require, &own, trusting(tb, serverCA))
	c := reverse.GatewayConfig{Authorize: authorizeByName, Service: serviceByHeader, Upgrades: []string{"websocket"}, OnEvent: d.events.record, Ping: time.Minute, PingTimeout: patience, QueueWait: patience} // a busy machine is no fault
	for _, o := range options {
		o(&c, &external, &registration)
	}
	d.gateway = must[*reverse.Gateway](tb)(reverse.NewGateway(c))
	d.external = must[*ports.Port](tb)(ports.New(external))
	d.registration = must[*ports.Port](tb)(ports.New(registration))
	serve(tb, d.gateway, d.external)
	serve(tb, d.gateway.Registrations(), d.registration)
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		d.gateway.Shutdown(ctx)
	})
	return d
}

// serve runs a handler on a port until the test ends.
func serve(tb testing.TB, h http.Handler, p *ports.Port) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	s := &ports.Server{Handler: h, Ports: []*ports.Port{p}, Ready: func() { close(ready) }, ErrorLog: discardLog}
	go func() { ended <- s.Serve(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		tb.Fatal(err)
	}
}

// serverConfig returns the configuration of a server that dials d as p.
func (d *dmz) serverConfig(tb testing.TB, p *testpki.Pair, h http.Handler, services ...string) reverse.ServerConfig {
	tb.Helper()
	c := d.baseConfig(tb, p, h, services...)
	c.Addrs = []string{d.registration.Addr().String()}
	return c
}

// baseConfig returns a configuration without Addrs.
func (*dmz) baseConfig(tb testing.TB, p *testpki.Pair, h http.Handler, services ...string) reverse.ServerConfig {
	tb.Helper()
	own := p.TLS()
	return reverse.ServerConfig{
		Name: "tunnel", Services: services,
		Gateways:    forwarded.Gateways{Names: []string{"localhost"}, Trust: trusting(tb, gatewayCA)},
		Certificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
		Users:       trusting(tb, userCA), Handler: h, Conns: 1, ErrorLog: discardLog, Ping: time.Minute, PingTimeout: patience,
		BackoffMin: 20 * time.Millisecond, BackoffMax: 200 * time.Millisecond,
	}
}

// innerServer is a running server.
type innerServer struct {
	*reverse.Server
	config reverse.ServerConfig
	events *events
	stop   func()
}

// trustGateways replaces the trust in gateways.
func (in *innerServer) trustGateways(tb testing.TB, v *trust.Verifier) {
	tb.Helper()
	in.config.Gateways.Trust = v
	if err := in.Reconfigure(in.config); err != nil {
		tb.Fatal(err)
	}
}

// trustUsers replaces the trust in callers.
func (in *innerServer) trustUsers(tb testing.TB, v *trust.Verifier) {
	tb.Helper()
	in.config.Users = v
	if err := in.Reconfigure(in.config); err != nil {
		tb.Fatal(err)
	}
}

// startServer runs a server until the test ends; it does not wait for it to be ready.
func startServer(tb testing.TB, c reverse.ServerConfig) *innerServer {
	tb.Helper()
	e := &events{}
	if c.OnEvent == nil {
		c.OnEvent = e.record
	}
	if c.Drain == 0 {
		c.Drain = 200 * time.Millisecond
	}
	s := must[*reverse.Server](tb)(reverse.NewServer(c))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	in := &innerServer{Server: s, config: c, events: e, stop: sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})}
	tb.Cleanup(in.stop)
	return in
}

// startConnected is startServer, and waits until the server is ready.
func startConnected(tb testing.TB, c reverse.ServerConfig) *innerServer {
	tb.Helper()
	s := startServer(tb, c)
	select {
	case <-s.Ready():
	case <-time.After(patience):
		tb.Fatalf("not ready: %v", s.events.all)
	}
	return s
}

// newGuard maps alice and bob and allows every request but those of bob below /alice/.
func newGuard(tb testing.TB, change ...func(*middleware.Config)) *middleware.Guard {
	tb.Helper()
	c := middleware.Config{
		Map: must[*certmap.Table](tb)(certmap.New(
			certmap.Mapping{ID: "m-alice", User: "alice", Fingerprint: trust.FingerprintOf(alice.Cert)},
			certmap.Mapping{ID: "m-bob", User: "bob", Fingerprint: trust.FingerprintOf(bob.Cert)},
		)),
		Policy: newPolicy(tb, "p, group:Everybody, *, *, /*, allow", "p, user:bob, tunnel, *, /alice/*, deny"),
	}
	for _, f := range change {
		f(&c)
	}
	return must[*middleware.Guard](tb)(middleware.New(c))
}

func newPolicy(tb testing.TB, lines ...string) *policy.Engine {
	tb.Helper()
	return must[*policy.Engine](tb)(policy.Load("policy.csv", strings.NewReader(strings.Join(lines, "\n")+"\n")))
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l := must[net.Listener](tb)(net.Listen("tcp", "127.0.0.1:0"))
	tb.Cleanup(func() { l.Close() })
	return l
}
