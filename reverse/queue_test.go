package reverse_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// Callers stop in the middle of a body, in either direction.
// Covers K8.
func TestStalledCallersDelayNoOthers(t *testing.T) {
	t.Parallel()
	shop := newTestHandler()
	d := newDMZWithServer(t, shop)
	const stalled = 20 // of each kind: with the default window of net/http, four would stop the tunnel
	c := d.client(t, alice, true)
	ctx, cancel := context.WithCancel(t.Context())
	for range stalled {
		for _, h2 := range []bool{true, false} {
			up := d.client(t, bob, h2)
			go up.http.Do(up.request("POST", "/unread", zeros{}).WithContext(ctx)) // the handler does not read it
		}
		<-shop.began
		<-shop.began
		slow := d.client(t, bob, false)
		go func() {
			res, err := slow.http.Do(slow.request("GET", "/big?n=100000000", nil).WithContext(ctx)) // does not read it
			if err == nil {
				<-ctx.Done()
				res.Body.Close()
			}
		}()
	}
	testkit.Eventually(t, "all of them", func() bool { return d.gateway.Tunnels()[0].InFlight == 3*stalled })
	for range 50 {
		c.get("/x").wantUser(t, "alice")
	}
	if s := c.do(c.request("POST", "/sum", io.LimitReader(zeros{}, 4<<20))); s.Code != 200 {
		t.Errorf("an upload beside them: %d, want 200", s.Code)
	}
	close(shop.release)
	cancel()
	testkit.Eventually(t, "the places to be given back", func() bool { return d.gateway.Tunnels()[0].InFlight == 0 })
}

// One of two servers does not answer.
// Covers K8.
func TestStuckServerDelaysNoOthers(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Streams = 20 }))
	shop := newTestHandler()
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders"))
	startConnected(t, d.serverConfig(t, billing, newGuard(t).Handler(echo), "billing"))
	c := d.client(t, alice, true)
	ctx, cancel := context.WithCancel(t.Context())
	stuck := d.client(t, bob, true)
	for range 60 { // 10 in the tunnel, which is bob's share, 50 wait for a place
		go stuck.http.Do(stuck.request("GET", "/wait", nil).WithContext(ctx))
	}
	testkit.Eventually(t, "a queue", func() bool { return d.gateway.Waiting() == 50 })
	for range 100 {
		c.get("/x", header("Service", "billing")).wantUser(t, "alice")
	}
	cancel()
}

// Covers K8.
func TestFullQueueIsUnavailable(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Streams, c.QueueLength, c.QueueWait = 1, 2, patience }))
	shop := newTestHandler()
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders"))
	c := d.client(t, alice, true)
	answers := make(chan response, 10)
	send := func() { answers <- c.get("/wait") }
	go send()
	<-shop.began
	go send()
	go send()
	testkit.Eventually(t, "a full queue", func() bool { return d.gateway.Waiting() == 2 })
	if s := c.get("/x"); s.Code != 503 || s.Answer.Get("Retry-After") == "" {
		t.Errorf("beyond the queue: %d %v", s.Code, s.Answer)
	}
	close(shop.release)
	for range 3 {
		if s := <-answers; s.Body != "done" {
			t.Errorf("answered %d %q, want done", s.Code, s.Body)
		}
	}
}

// Covers K8.
func TestQueueWaitIsBounded(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.QueueWait = 50 * time.Millisecond }))
	c := d.client(t, alice, true)
	for _, service := range []string{"orders", "unserved"} {
		if s := c.get("/x", header("Service", service)); s.Code != 503 || s.Answer.Get("Retry-After") == "" {
			t.Errorf("answered %d with %v, want 503 and Retry-After", s.Code, s.Answer)
		}
	}
	if n := d.gateway.Queues(); n != 0 {
		t.Errorf("%d services are remembered", n) // callers may choose the names
	}
}

func TestWaitingRequestsAreServedWhenAServerComes(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.QueueWait = patience }))
	answers := make(chan response, 20)
	for i := range 20 {
		c := d.client(t, alice, i%2 == 0)
		go func() { answers <- c.get("/x") }()
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := d.client(t, alice, true)
	left := make(chan error, 1)
	go func() {
		_, err := gone.http.Do(gone.request("GET", "/x", nil).WithContext(ctx))
		left <- err
	}()
	testkit.Eventually(t, "all to wait", func() bool { return d.gateway.Waiting() == 21 })
	cancel()
	if err := <-left; err == nil {
		t.Error("the cancelled request was answered")
	}
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	for range 20 {
		s := <-answers
		s.wantUser(t, "alice")
	}
	testkit.Eventually(t, "the places to be given back", func() bool { return d.gateway.Tunnels()[0].InFlight == 0 })
}

// Covers K8.
func TestTunnelsAreLimited(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.MaxTunnels = 1 }))
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	s := startServer(t, d.serverConfig(t, billing, echo, "billing"))
	testkit.Eventually(t, "a refusal", func() bool { return s.events.count(reverse.Refused) >= 2 })
	select {
	case <-s.Ready():
		t.Error("a tunnel above MaxTunnels is ready")
	default:
	}
	d.client(t, alice, true).get("/x").wantUser(t, "alice")
}
