package reverse_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// callWithoutReading sends n requests, 50 on each connection, and reads no answer. from is the
// client's address; "" means any.
func callWithoutReading(t *testing.T, d *dmz, p *testpki.Pair, h2 bool, from string, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); all.Wait() })
	var c *client
	for i := range n {
		if i%50 == 0 {
			c = d.client(t, p, h2)
			transport := c.http.Transport.(*http.Transport)
			transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
			transport.ReadBufferSize = 4 << 10
			if from != "" {
				transport.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext
			}
		}
		caller, r := c.http, c.request("GET", "/big?n=100000000", nil).WithContext(ctx)
		all.Go(func() {
			if res, err := caller.Do(r); err == nil {
				<-ctx.Done()
				res.Body.Close()
			}
		})
	}
}

// A caller that does not read its answers occupies only its share of the places; all other
// callers are served.
//
// Covers H16.
func TestOneCallerLeavesPlacesForOthers(t *testing.T) {
	t.Parallel()
	for name, hogs := range map[string][]*testpki.Pair{
		"without a certificate": {nil},
		"with one":              {bob},
		"several":               {nil, bob, userCA.Leaf("mallory"), userCA.Leaf("eve")},
	} {
		t.Run(name, func(t *testing.T) {
			onBothVersions(t, func(t *testing.T, h2 bool) {
				d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Streams, c.QueueWait = 20, 200*time.Millisecond }))
				c := d.serverConfig(t, orders, newTestHandler(), "orders")
				c.Conns = 2
				startConnected(t, c)
				testkit.Eventually(t, "two tunnels", func() bool { return len(d.gateway.Tunnels()) == 2 })
				held := func() (n int) {
					tunnels := d.gateway.Tunnels()
					if len(tunnels) != 2 {
						t.Fatalf("%d tunnels are left: %v", len(tunnels), d.events.errors())
					}
					return tunnels[0].InFlight + tunnels[1].InFlight
				}
				want := 0
				for _, p := range hogs {
					want += (40 - want + 1) / 2 // half of the free places
					callWithoutReading(t, d, p, h2, "", 60)
					testkit.Eventually(t, strconv.Itoa(want)+" places to be held", func() bool { return held() == want })
				}
				other := d.client(t, alice, h2)
				for range 20 {
					if s := other.get("/x"); s.Code != 200 {
						t.Errorf("answered %d, want 200", s.Code)
					}
				}
				testkit.Eventually(t, "the others' places to be given back", func() bool { return held() == want })
				testkit.Eventually(t, "refusals", func() bool { return d.events.count(reverse.Unavailable) > 0 })
				d.events.mu.Lock()
				defer d.events.mu.Unlock()
				for _, e := range d.events.all {
					if e.Kind == reverse.Unavailable && (e.Reason != reason.Limit || e.Certificate.IsZero() != (hogs[0] == nil) && len(hogs) == 1) {
						t.Errorf("the event has the reason %q, %v", e.Reason, e.Err)
					}
				}
			})
		})
	}
}

// Callers without certificates are counted by address. Covers H16.
func TestAnonymousCallersShareByAddress(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Streams, c.QueueWait = 20, 100*time.Millisecond }))
	startConnected(t, d.serverConfig(t, orders, newTestHandler(), "orders"))
	callWithoutReading(t, d, nil, true, "127.0.0.3", 40)
	testkit.Eventually(t, "the share to be held", func() bool { return d.gateway.Tunnels()[0].InFlight == 10 })
	other := d.client(t, nil, true)
	other.http.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 4)}}).DialContext
	same := d.client(t, nil, true)
	same.http.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 3)}}).DialContext
	for range 10 {
		if s := other.get("/x"); s.Code != 200 {
			t.Errorf("another address: %d, want 200", s.Code)
		}
	}
	if s := same.get("/x"); s.Code != 503 || s.Answer.Get("Retry-After") == "" || s.Answer.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the same address: %d %v", s.Code, s.Answer)
	}
}

// Covers H16.
func TestCallerShare(t *testing.T) {
	t.Parallel()
	for share, want := range map[int]int{0: 10, 50: 10, 25: 5, 75: 15, 100: 20, 1: 1} {
		t.Run(strconv.Itoa(share), func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Streams, c.CallerShare, c.QueueWait = 20, share, 50*time.Millisecond }))
			startConnected(t, d.serverConfig(t, orders, newTestHandler(), "orders"))
			callWithoutReading(t, d, bob, true, "", 40)
			testkit.Eventually(t, "the share to be held, and the rest to be refused", func() bool {
				return d.gateway.Tunnels()[0].InFlight == want && d.events.count(reverse.Unavailable) == 40-want
			})
		})
	}
}

// A caller's places for one service count for the others of the same tunnel. Covers
// H16.
func TestShareCountsAllServicesOfATunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Streams, c.QueueWait = 8, -1 }))
	shop := newTestHandler()
	startConnected(t, d.serverConfig(t, orders, shop, "orders", "shared"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := d.client(t, bob, true)
	for i := range 4 {
		r := c.request("GET", "/wait", nil, header("Service", []string{"orders", "shared"}[i%2])).WithContext(ctx)
		go c.http.Do(r)
		<-shop.began
	}
	for _, service := range []string{"orders", "shared"} {
		if s := c.get("/x", header("Service", service)); s.Code != 503 {
			t.Errorf("%s: answered %d, want 503", service, s.Code)
		}
		if s := d.client(t, alice, true).get("/x", header("Service", service)); s.Code != 200 {
			t.Errorf("%s for another: %d, want 200", service, s.Code)
		}
	}
}

// When the queue is full, the caller with the most waiting requests loses one. Covers H16.
func TestFullQueueDropsTheCallerWithTheMost(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Streams, c.QueueLength, c.QueueWait = 1, 4, patience }))
	shop := newTestHandler()
	startConnected(t, d.serverConfig(t, orders, shop, "orders"))
	c := d.client(t, bob, true)
	answers := make(chan response, 10)
	for i := range 5 {
		go func() { answers <- c.get("/wait") }()
		if i == 0 {
			<-shop.began
		}
	}
	testkit.Eventually(t, "a full queue", func() bool { return d.gateway.Waiting() == 4 })
	if s := c.get("/wait"); s.Code != 503 {
		t.Errorf("one more of the same caller: %d, want 503", s.Code)
	}
	other := make(chan response, 1)
	go func() { other <- d.client(t, alice, true).get("/x") }()
	if s := <-answers; s.Code != 503 || s.Answer.Get("Retry-After") == "" {
		t.Errorf("a waiting request: %d", s.Code)
	}
	close(shop.release)
	if s := <-other; s.Code != 200 {
		t.Errorf("another caller: %d, want 200", s.Code)
	}
	for range 4 {
		if s := <-answers; s.Code != 200 {
			t.Errorf("the other waiting requests: %d, want 200", s.Code)
		}
	}
	if n := d.gateway.Accounts(); n != 0 {
		t.Errorf("%d callers are remembered", n)
	}
}

// The place of a caller that reads nothing of its answer is free again after Limits.Idle.
// Covers H16.
func TestPlaceOfASlowReaderIsGivenBack(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, h2 bool) { // HTTP/2: the caller sends no WINDOW_UPDATE
		d := newDMZ(t, func(_ *reverse.GatewayConfig, external, _ *ports.Config) {
			external.Limits.Idle, external.Listen = 2*time.Second, listenSmall
		})
		startConnected(t, d.serverConfig(t, orders, newTestHandler(), "orders"))
		callWithoutReading(t, d, bob, h2, "", 5)
		testkit.Eventually(t, "places to be held", func() bool { return d.gateway.Tunnels()[0].InFlight == 5 })
		testkit.Eventually(t, "the places to be given back", func() bool { return d.gateway.Tunnels()[0].InFlight == 0 })
	})
}

// A free place goes to the request that has waited longest, for any service of the tunnel.
// Covers K16.
func TestOldestRequestOfAllServicesIsNext(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Streams, c.QueueWait = 1, patience }))
	var mu sync.Mutex
	var order []string
	first, release := make(chan struct{}), make(chan struct{})
	startConnected(t, d.serverConfig(t, orders, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			close(first)
			<-release
			return
		}
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.URL.Path)
		io.WriteString(w, "done")
	}), "orders", "shared"))
	c := d.client(t, alice, true)
	var all sync.WaitGroup
	all.Go(func() { c.get("/first") })
	<-first
	services := []string{"orders", "orders", "shared", "orders", "shared", "shared", "orders", "orders"}
	var want []string
	for i := range 32 {
		path := "/" + strconv.Itoa(i)
		want = append(want, path)
		holder := []*testpki.Pair{alice, bob}[i%2]
		other := d.client(t, holder, true)
		all.Go(func() { other.get(path, header("Service", services[i%len(services)])) })
		testkit.Eventually(t, "it to wait", func() bool { return d.gateway.Waiting() == i+1 })
	}
	close(release)
	all.Wait()
	if !slices.Equal(order, want) {
		t.Errorf("served in the order\n%v, want\n%v", order, want)
	}
}

// A caller's places in a draining tunnel do not count for the other tunnels:
// a request that waits is served at once. Covers H16.
func TestDrainedPlacesAreNotCounted(t *testing.T) {
	t.Parallel()
	var slow atomic.Pointer[string] // the address of the first tunnel
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) {
		c.Streams, c.QueueWait = 4, time.Minute
		c.Pick = func(free []reverse.Tunnel) reverse.Tunnel {
			for _, f := range free {
				if f.Remote == *slow.Load() {
					return f
				}
			}
			return free[0]
		}
	}))
	shop := newTestHandler()
	c := d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders")
	c.Drain = patience
	first := startConnected(t, c)
	remote := d.gateway.Tunnels()[0].Remote
	slow.Store(&remote)
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	testkit.Eventually(t, "two tunnels", func() bool { return len(d.gateway.Tunnels()) == 2 })
	caller := d.client(t, alice, true)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { caller.get("/wait").want(t, 200, "") })
		<-shop.began
	}
	all.Go(func() { caller.get("/x").want(t, 200, "") })
	testkit.Eventually(t, "a request that waits", func() bool { return d.gateway.Waiting() == 1 })
	stopped := make(chan struct{})
	go func() {
		first.stop()
		close(stopped)
	}()
	testkit.Eventually(t, "its place", func() bool { return d.gateway.Waiting() == 0 })
	close(shop.release)
	all.Wait()
	<-stopped
}
