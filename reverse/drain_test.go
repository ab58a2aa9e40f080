package reverse_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// sendLoad sends requests until stop is called, which returns the number of answers. The test
// fails if a request gets no answer.
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
				time.Sleep(time.Millisecond) // the machine has other tests to run
			}
		})
	}
	return sync.OnceValue(func() int64 {
		stopped.Store(true)
		all.Wait()
		return answered.Load()
	})
}

// briefHandler takes a millisecond or so, so that a drain finds requests in flight.
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
		t.Errorf("%d drains were announced, want %d", n, drains)
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
		t.Errorf("answered %d %q, want done", got.Code, got.Body)
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
		t.Errorf("answered %d %q, want 502", got.Code, got.Body)
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
		t.Errorf("answered %d %q, want done", got.Code, got.Body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, "the server to know", func() bool { return s.events.count(reverse.Gone) == 1 })
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
		t.Errorf("refused for %q, want %q", why, "expired")
	}
}
