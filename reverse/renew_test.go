package reverse_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// endsIn is for a certificate that ends then.
func endsIn(d time.Duration) testpki.Option {
	return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d) }
}

// clock is one that a test moves.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// own is a certificate that a test replaces.
type own struct {
	current atomic.Pointer[tls.Certificate]
	asked   atomic.Int64
}

func newOwn(p *testpki.Pair) *own {
	o := &own{}
	o.set(p)
	return o
}

func (o *own) set(p *testpki.Pair) { c := p.TLS(); o.current.Store(&c) }

func (o *own) forServer(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	o.asked.Add(1)
	return o.current.Load(), nil
}

func (o *own) forGateway(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return o.current.Load(), nil
}

func verifying(tb testing.TB, ca *testpki.Pair, usage trust.Usage, now func() time.Time) *trust.Verifier {
	tb.Helper()
	return must[*trust.Verifier](tb)(trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}, Usage: usage, Now: now}))
}

// waiting begins n requests that end when the shop is released, and returns a function
// that waits for their answers, which must all be complete.
func waiting(t *testing.T, d *dmz, s *shop, n int) (end func()) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		c := d.client(t, alice, i%2 == 0)
		all.Go(func() {
			if got := c.get("/wait"); got.Body != "done" {
				t.Errorf("under way: %d %q", got.Code, got.Body)
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

// A server that has a new certificate dials anew; what is under way ends on the old
// tunnel, and nothing is cut when the old certificate ends. Covers K17.
func TestRenewedServerCertificateCutsNothing(t *testing.T) {
	t.Parallel()
	var c clock
	d := newDMZ(t, func(_ *reverse.GatewayConfig, _, registration *ports.Config) {
		registration.Trust = verifying(t, serverCA, trust.UsageClient, c.now)
	})
	before, after := newShop(), newShop()
	var replaced atomic.Bool
	cert := newOwn(orders)
	config := d.serverConfig(t, orders, switching{&replaced, before, after}, "orders")
	config.Certificate = cert.forServer
	in := connected(t, config)
	connected(t, d.serverConfig(t, billing, echo, "billing")) // has no new certificate
	endBefore := waiting(t, d, before, 8)

	cert.set(serverCA.Leaf("orders", endsIn(96*time.Hour)))
	eventually(t, "another tunnel, and the old one to drain", func() bool {
		return in.events.count(reverse.Registered) == 2 && d.events.count(reverse.Draining) == 1
	})
	replaced.Store(true)
	endAfter := waiting(t, d, after, 16)
	endBefore()
	eventually(t, "the old tunnel to end with its last answer", func() bool { return d.events.count(reverse.Gone) == 1 })

	c.advance(48 * time.Hour)
	eventually(t, "the tunnel without a new certificate to end", func() bool { return d.events.count(reverse.Gone) == 2 })
	endAfter()
	if n := d.events.count(reverse.Failed); n != 0 {
		t.Errorf("%d requests broke off", n)
	}
	d.client(t, alice, true).get("/x", header("Service", "orders")).want(t, 200, "")
}

// A server dials anew before the gateway's certificate ends. Covers K17.
func TestTunnelIsReplacedBeforeTheGatewaysCertificateEnds(t *testing.T) {
	t.Parallel()
	var c clock
	cert := newOwn(gate)
	d := newDMZ(t, func(_ *reverse.GatewayConfig, _, registration *ports.Config) {
		registration.Certificate = cert.forGateway
	})
	s := newShop()
	config := d.serverConfig(t, orders, s, "orders")
	own := serverCA.Leaf("orders", endsIn(96*time.Hour)).TLS()
	own.Certificate = append(own.Certificate, testpki.NewCA("Former CA", endsIn(-time.Hour)).Cert.Raw) // out of use: it says nothing of the gateway's
	config.Certificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	config.Gateways.Trust = verifying(t, gatewayCA, trust.UsageServer, c.now)
	in := connected(t, config)
	cert.set(gatewayCA.Server(endsIn(96 * time.Hour)))

	c.advance(time.Until(gate.Cert.NotAfter) - 30*time.Minute)
	eventually(t, "another tunnel, and the old one to end", func() bool {
		return in.events.count(reverse.Registered) == 2 && in.events.count(reverse.Gone) == 1
	})
	end := waiting(t, d, s, 16)
	c.advance(time.Hour)
	in.trustGateways(t, config.Gateways.Trust) // verifies the gateway's certificate at once
	end()
	if n := d.events.count(reverse.Failed) + in.events.count(reverse.Gone); n != 1 {
		t.Errorf("requests or tunnels broke off")
	}
}

// Renew replaces every tunnel, and nothing is lost. Covers K17.
func TestGatewayRenews(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	c := d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders")
	c.Conns = 2
	in := connected(t, c)
	eventually(t, "two tunnels", func() bool { return len(d.gateway.Tunnels()) == 2 })
	stop := load(t, d, 4)
	d.gateway.Renew()
	eventually(t, "two others in their place", func() bool {
		return in.events.count(reverse.Registered) == 4 && d.events.count(reverse.Gone) == 2
	})
	if n := stop(); n == 0 || len(d.gateway.Tunnels()) != 2 {
		t.Errorf("%d answers by %d tunnels", n, len(d.gateway.Tunnels()))
	}
}

// A server whose program makes a certificate for each connection does not dial for
// ever. Covers K17.
func TestCertificateOfEachConnectionReplacesNone(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	c := d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders")
	var asked atomic.Int64
	c.Certificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked.Add(1)
		own := serverCA.Leaf("orders").TLS()
		return &own, nil
	}
	in := connected(t, c)
	eventually(t, "four questions", func() bool { return asked.Load() >= 5 })
	if n := in.events.count(reverse.Registered); n != 1 {
		t.Errorf("%d tunnels", n)
	}
}

// A new certificate that the gateway refuses costs nothing: the old tunnel stays.
// Covers K17.
func TestOldTunnelStaysWhereTheNewCertificateIsRefused(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	cert := newOwn(orders)
	c := d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders")
	c.Certificate = cert.forServer
	in := connected(t, c)
	stop := load(t, d, 2)
	cert.set(testpki.NewCA("Other CA").Leaf("orders"))
	eventually(t, "refusals", func() bool { return in.events.count(reverse.Refused) >= 3 })
	if n := stop(); n == 0 || in.events.count(reverse.Gone) != 0 {
		t.Errorf("%d answers", n)
	}
	cert.set(serverCA.Leaf("orders"))
	eventually(t, "another tunnel in its place", func() bool { return in.events.count(reverse.Gone) == 1 })
}

func TestRenewalIsAheadOfTheEnd(t *testing.T) {
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
		t.Error("without an end there is one")
	}
}

// switching serves by one of two handlers.
type switching struct {
	second        *atomic.Bool
	first, follow http.Handler
}

func (s switching) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.second.Load() {
		s.follow.ServeHTTP(w, r)
		return
	}
	s.first.ServeHTTP(w, r)
}
