package reverse_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// expiresIn is an option for a certificate that expires after d.
func expiresIn(d time.Duration) testpki.Option {
	return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d) }
}

// replaceable is a certificate that a test replaces.
type replaceable struct {
	current atomic.Pointer[tls.Certificate]
	calls   atomic.Int64
}

func newReplaceable(p *testpki.Pair) *replaceable {
	o := &replaceable{}
	o.set(p)
	return o
}

func (o *replaceable) set(p *testpki.Pair) { c := p.TLS(); o.current.Store(&c) }

func (o *replaceable) forServer(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	o.calls.Add(1)
	return o.current.Load(), nil
}

func (o *replaceable) forGateway(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return o.current.Load(), nil
}

func newVerifier(tb testing.TB, ca *testpki.Pair, usage trust.Usage, now func() time.Time) *trust.Verifier {
	tb.Helper()
	return must[*trust.Verifier](tb)(trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}, Usage: usage, Now: now}))
}

// startWaiting starts n requests that end when the shop is released, and returns a function
// that waits for their answers, which must all be complete.
func startWaiting(t *testing.T, d *dmz, s *testHandler, n int) (end func()) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		c := d.client(t, alice, i%2 == 0)
		all.Go(func() {
			if got := c.get("/wait"); got.Body != "done" {
				t.Errorf("in flight: %d %q, want %q", got.Code, got.Body, "done")
			}
		})
	}
	for range n {
		<-s.began
	}
	return func() {
		close(s.release)
		all.Wait()
	}
}

// A server with a new certificate dials another tunnel. Requests in flight end on the old
// tunnel, before the old certificate expires.
//
// Covers K17.
func TestRenewedServerCertificateLosesNoRequest(t *testing.T) {
	t.Parallel()
	var c testkit.Clock
	d := newDMZ(t, func(_ *reverse.GatewayConfig, _, registration *ports.Config) {
		registration.Trust = newVerifier(t, serverCA, trust.UsageClient, c.Now)
	})
	before, after := newTestHandler(), newTestHandler()
	var replaced atomic.Bool
	cert := newReplaceable(orders)
	config := d.serverConfig(t, orders, switchingHandler{&replaced, before, after}, "orders")
	config.Certificate = cert.forServer
	in := startConnected(t, config)
	startConnected(t, d.serverConfig(t, billing, echo, "billing")) // has no new certificate
	endBefore := startWaiting(t, d, before, 8)

	cert.set(serverCA.Leaf("orders", expiresIn(96*time.Hour)))
	testkit.Eventually(t, "another tunnel, and the old one to drain", func() bool {
		return in.events.count(reverse.Registered) == 2 && d.events.count(reverse.Draining) == 1
	})
	replaced.Store(true)
	endAfter := startWaiting(t, d, after, 16)
	endBefore()
	testkit.Eventually(t, "the old tunnel to end with its last answer", func() bool { return d.events.count(reverse.Gone) == 1 })

	c.Advance(48 * time.Hour)
	testkit.Eventually(t, "the tunnel without a new certificate to end", func() bool { return d.events.count(reverse.Gone) == 2 })
	endAfter()
	if n := d.events.count(reverse.Failed); n != 0 {
		t.Errorf("%d requests failed", n)
	}
	d.client(t, alice, true).get("/x", header("Service", "orders")).want(t, 200, "")
}

// Covers K17.
func TestTunnelIsReplacedBeforeTheGatewaysCertificateEnds(t *testing.T) {
	t.Parallel()
	var c testkit.Clock
	cert := newReplaceable(gate)
	d := newDMZ(t, func(_ *reverse.GatewayConfig, _, registration *ports.Config) {
		registration.Certificate = cert.forGateway
	})
	s := newTestHandler()
	config := d.serverConfig(t, orders, s, "orders")
	own := serverCA.Leaf("orders", expiresIn(96*time.Hour)).TLS()
	own.Certificate = append(own.Certificate, testpki.NewCA("Former CA", expiresIn(-time.Hour)).Cert.Raw) // an expired certificate that the chain does not need
	config.Certificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	config.Gateways.Trust = newVerifier(t, gatewayCA, trust.UsageServer, c.Now)
	in := startConnected(t, config)
	cert.set(gatewayCA.Server(expiresIn(96 * time.Hour)))

	c.Advance(time.Until(gate.Cert.NotAfter) - 30*time.Minute)
	testkit.Eventually(t, "another tunnel, and the old one to end", func() bool {
		return in.events.count(reverse.Registered) == 2 && in.events.count(reverse.Gone) == 1
	})
	end := startWaiting(t, d, s, 16)
	c.Advance(time.Hour)
	in.trustGateways(t, config.Gateways.Trust) // verifies the gateway's certificate at once
	end()
	if n := d.events.count(reverse.Failed) + in.events.count(reverse.Gone); n != 1 {
		t.Errorf("requests or tunnels failed")
	}
}

// No request is lost. Covers K17.
func TestRenewReplacesEveryTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	c := d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders")
	c.Conns = 2
	in := startConnected(t, c)
	testkit.Eventually(t, "two tunnels", func() bool { return len(d.gateway.Tunnels()) == 2 })
	stop := sendLoad(t, d, 4)
	d.gateway.Renew()
	testkit.Eventually(t, "two others in their place", func() bool {
		return in.events.count(reverse.Registered) == 4 && d.events.count(reverse.Gone) == 2
	})
	if n := stop(); n == 0 || len(d.gateway.Tunnels()) != 2 {
		t.Errorf("%d answers by %d tunnels", n, len(d.gateway.Tunnels()))
	}
}

// Otherwise such a server would dial forever.
//
// Covers K17.
func TestCertificatePerConnectionReplacesNoTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	c := d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders")
	var calls atomic.Int64
	c.Certificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		calls.Add(1)
		own := serverCA.Leaf("orders").TLS()
		return &own, nil
	}
	in := startConnected(t, c)
	testkit.Eventually(t, "four calls of Certificate", func() bool { return calls.Load() >= 4 })
	if n := in.events.count(reverse.Registered); n != 1 {
		t.Errorf("%d tunnels", n)
	}
}

// If the gateway refuses the new certificate, the old tunnel stays.
// Covers K17.
func TestOldTunnelStaysWhereTheNewCertificateIsRefused(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	cert := newReplaceable(orders)
	c := d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders")
	c.Certificate = cert.forServer
	in := startConnected(t, c)
	stop := sendLoad(t, d, 2)
	cert.set(testpki.NewCA("Other CA").Leaf("orders"))
	testkit.Eventually(t, "refusals", func() bool { return in.events.count(reverse.Refused) >= 3 })
	if n := stop(); n == 0 || in.events.count(reverse.Gone) != 0 {
		t.Errorf("%d answers", n)
	}
	cert.set(serverCA.Leaf("orders"))
	testkit.Eventually(t, "another tunnel in its place", func() bool { return in.events.count(reverse.Gone) == 1 })
}

func TestRenewalPrecedesExpiry(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for left, want := range map[time.Duration]time.Duration{
		90 * 24 * time.Hour: time.Hour,
		3 * time.Hour:       time.Hour,
		time.Hour:           30 * time.Minute,
		time.Minute:         30 * time.Second,
		4 * time.Second:     2 * time.Second,
	} {
		at := reverse.RenewalTime(now, now.Add(left))
		if lead := now.Add(left).Sub(at); lead < want || lead > want*5/4 || at.Before(now) {
			t.Errorf("with %v left it is %v before the end", left, lead)
		}
	}
	for _, left := range []time.Duration{time.Second, 0, -time.Hour} {
		if at := reverse.RenewalTime(now, now.Add(left)); !at.IsZero() {
			t.Errorf("with %v left it is at %v", left, at)
		}
	}
	if !reverse.RenewalTime(now, time.Time{}).IsZero() {
		t.Error("a certificate without an end has a renewal time")
	}
}

// switchingHandler serves by one of two handlers.
type switchingHandler struct {
	second        *atomic.Bool
	first, follow http.Handler
}

func (s switchingHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.second.Load() {
		s.follow.ServeHTTP(w, r)
		return
	}
	s.first.ServeHTTP(w, r)
}
