package reverse_test

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// sendLoad sends requests until stop is called, which returns how many were answered. The
// test fails if one is not.
func sendLoad(t *testing.T, d *dmz, callers int) (stop func() int64) {
	t.Helper()
	var answered atomic.Int64
	var stopped atomic.Bool
	var all sync.WaitGroup
	for i := range callers {
		c := d.client(t, alice, i%2 == 0)
		all.Go(func() {
			for n := 0; !stopped.Load(); n++ {
				r := c.request("GET", "/x", nil)
				if n%4 == 0 {
					r = c.request("POST", "/x", strings.NewReader(strings.Repeat("x", 10_000)))
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				res, err := c.http.Do(r.WithContext(ctx))
				if err != nil {
					t.Errorf("lost: %v", err)
					cancel()
					return
				}
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				cancel()
				if err != nil || res.StatusCode != 200 {
					t.Errorf("lost: %d, %v", res.StatusCode, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	return sync.OnceValue(func() int64 {
		stopped.Store(true)
		all.Wait()
		return answered.Load()
	})
}

// briefHandler takes a moment, so that a drain finds requests in flight.
var briefHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	time.Sleep(time.Millisecond)
	echo(w, r)
})

func TestDrainsLoseNoRequest(t *testing.T) {
	t.Parallel()
	drains := 20
	if *full {
		drains = 200
	}
	d := newDMZ(t)
	h := newGuard(t).Handler(briefHandler)
	config := d.serverConfig(t, orders, h, "orders")
	config.Drain = patience
	now := startConnected(t, config)
	stop := sendLoad(t, d, 8)
	for range drains {
		next := startConnected(t, config)
		now.stop()
		now = next
	}
	t.Logf("%d requests through %d drains", stop(), drains)
	if n := d.events.count(reverse.Draining); n != drains {
		t.Errorf("%d were announced, want %d", n, drains)
	}
	if n := d.events.count(reverse.Failed); n != 0 {
		t.Errorf("%d requests failed", n)
	}
}

func TestTunnelsOlderThanMaxAgeAreReplaced(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.MaxAge = 50 * time.Millisecond }))
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(briefHandler), "orders"))
	stop := sendLoad(t, d, 4)
	testkit.Eventually(t, "five tunnels", func() bool { return d.events.count(reverse.Gone) >= 5 })
	t.Logf("%d requests through %d tunnels", stop(), d.events.count(reverse.Registered))
	if n := d.events.count(reverse.Unavailable) + d.events.count(reverse.Failed); n != 0 {
		t.Errorf("%d requests without a tunnel", n)
	}
}

func TestServeWaitsForRequestsInFlight(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.QueueWait = -1 }))
	shop := newTestHandler()
	config := d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders")
	config.Drain = patience
	s := startConnected(t, config)
	c := d.client(t, alice, true)
	answer := make(chan response, 1)
	go func() { answer <- c.get("/wait") }()
	<-shop.began
	ended := make(chan struct{})
	go func() {
		s.stop()
		close(ended)
	}()
	testkit.Eventually(t, "the drain", func() bool { return d.events.count(reverse.Draining) == 1 })
	if got := c.get("/x"); got.Code != 503 || got.Answer.Get("Retry-After") != "1" || got.Answer.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a new request: %d %v", got.Code, got.Answer)
	}
	select {
	case <-ended:
		t.Fatal("Serve returned with a request in flight")
	default:
	}
	close(shop.release)
	if got := <-answer; got.Body != "done" {
		t.Errorf("%d %q", got.Code, got.Body)
	}
	<-ended
}

func TestServeReturnsAfterDrain(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	shop := newTestHandler()
	config := d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders")
	config.Drain = 50 * time.Millisecond
	s := startConnected(t, config)
	c := d.client(t, alice, true)
	answer := make(chan response, 1)
	go func() { answer <- c.get("/wait") }()
	<-shop.began
	s.stop() // returns although the handler does not
	if got := <-answer; got.Code != 502 {
		t.Errorf("%d %q", got.Code, got.Body)
	}
	if err := s.Server.Serve(t.Context()); err == nil {
		t.Error("served twice")
	}
}

func TestShutdownOfTheGatewayWaitsForRequestsInFlight(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.QueueWait = -1 }))
	shop := newTestHandler()
	s := startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders"))
	c := d.client(t, alice, true)
	answer := make(chan response, 1)
	go func() { answer <- c.get("/wait") }()
	<-shop.began
	ended := make(chan error, 1)
	go func() { ended <- d.gateway.Shutdown(t.Context()) }()
	testkit.Eventually(t, "503", func() bool { return c.get("/x").Code == 503 })
	close(shop.release)
	if got := <-answer; got.Body != "done" {
		t.Errorf("%d %q", got.Code, got.Body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, "the server to know", func() bool { return s.events.count(reverse.Gone) == 1 })
}

// relay is a network that can start to drop all packets.
type relay struct {
	addr      string
	blackhole atomic.Bool
}

func newRelay(tb testing.TB, to string) *relay {
	tb.Helper()
	l := listen(tb)
	r := &relay{addr: l.Addr().String()}
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			tb.Cleanup(func() { a.Close(); b.Close() })
			go r.copy(a, b)
			go r.copy(b, a)
		}
	}()
	return r
}

func (r *relay) copy(to, from net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if r.blackhole.Load() {
			discard(from)
			return // without closing
		}
		if err != nil {
			to.Close()
			return
		}
		to.Write(b[:n])
	}
}

// discard reads everything and writes nothing.
func discard(from net.Conn) { io.Copy(io.Discard, from) }

func TestSilentPeerIsDetected(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Ping, c.PingTimeout = 50*time.Millisecond, time.Second }))
	shop := newTestHandler()
	sc := d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders")
	r := newRelay(t, sc.Addrs[0])
	sc.Addrs, sc.ServerName = []string{r.addr}, "localhost"
	sc.Ping, sc.PingTimeout = 50*time.Millisecond, time.Second
	s := startConnected(t, sc)
	c := d.client(t, alice, true)
	waiting := make(chan response, 1)
	go func() { waiting <- c.get("/wait") }()
	<-shop.began
	time.Sleep(200 * time.Millisecond) // several pings: a healthy tunnel stays
	if n := d.events.count(reverse.Gone); n != 0 {
		t.Fatal("gone without a reason")
	}
	r.blackhole.Store(true)
	began := time.Now()
	testkit.Eventually(t, "the gateway to see it", func() bool { return len(d.gateway.Tunnels()) == 0 })
	t.Logf("gone from the gateway after %v (ping 50 ms, timeout 1 s)", time.Since(began))
	if got := <-waiting; got.Code != 502 {
		t.Errorf("the request in flight: %d", got.Code)
	}
	testkit.Eventually(t, "the server to see it", func() bool { return s.events.count(reverse.Gone) == 1 })
	r.blackhole.Store(false)
	testkit.Eventually(t, "another tunnel", func() bool { return len(d.gateway.Tunnels()) == 1 })
}

// Covers K5.
func TestTunnelEndsWhenTheGatewaysCertificateExpires(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	d := newDMZ(t)
	c := d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders")
	c.Gateways.Trust = must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: trusting(t, gatewayCA).Anchors(), Usage: trust.UsageServer, Now: now}))
	s := startConnected(t, c)
	ahead.Store(int64(48 * time.Hour))
	testkit.Eventually(t, "the tunnel to go", func() bool { return len(d.gateway.Tunnels()) == 0 })
	if why := s.events.waitForRefusal(t); why != "expired" {
		t.Errorf("refused for %q", why)
	}
}

// Covers K9.
func TestServersDoNotComeBackTogether(t *testing.T) {
	t.Parallel()
	servers := 40
	if *full {
		servers = 200
	}
	var mu sync.Mutex
	var arrivals []time.Time
	d := newDMZ(t, func(_ *reverse.GatewayConfig, _, registration *ports.Config) {
		registration.OnHandshake = func(ports.Handshake) {
			mu.Lock()
			defer mu.Unlock()
			arrivals = append(arrivals, time.Now())
		}
	})
	for range servers {
		c := d.serverConfig(t, orders, echo, "orders")
		c.BackoffMin, c.BackoffMax = 0, 0 // the defaults
		startConnected(t, c)
	}
	mu.Lock()
	arrivals = nil
	mu.Unlock()
	d.gateway.Recheck(t.Context()) // all of them are still authorized
	for _, conn := range d.gateway.Tunnels() {
		if conn.Draining {
			t.Fatal("draining")
		}
	}
	closeTunnels(d)
	testkit.Eventually(t, "all to come back", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(arrivals) >= servers
	})
	mu.Lock()
	defer mu.Unlock()
	peak := 0
	for i := range arrivals {
		j := i
		for j < len(arrivals) && arrivals[j].Sub(arrivals[i]) < 100*time.Millisecond {
			j++
		}
		peak = max(peak, j-i)
	}
	t.Logf("%d servers came back over %v, at most %d within 100ms", servers, arrivals[len(arrivals)-1].Sub(arrivals[0]), peak)
	if peak > servers*2/3 {
		t.Errorf("%d of %d servers came back within 100ms: a stampede", peak, servers)
	}
}

// closeTunnels closes every tunnel at once, as a restart of the gateway would.
func closeTunnels(d *dmz) {
	d.losing.Lock()
	defer d.losing.Unlock()
	c := d.registration.Config()
	old := c.Trust
	c.Trust = otherTrust
	d.registration.Reconfigure(c)
	c.Trust = old
	d.registration.Reconfigure(c)
}

var otherTrust = func() *trust.Verifier {
	v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{userCA.Cert}})
	if err != nil {
		panic(err)
	}
	return v
}()
