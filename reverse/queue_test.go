package reverse_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/reverse"
)

// Callers who stop in the middle, in either direction, stop nobody else.
func TestK8_StalledCallersStopNobody(t *testing.T) {
	t.Parallel()
	shop := newShop()
	d := served(t, shop)
	const stalled = 40
	c := d.client(t, alice, true)
	ctx, cancel := context.WithCancel(t.Context())
	for range stalled {
		for _, h2 := range []bool{true, false} {
			up := d.client(t, bob, h2)
			go up.http.Do(up.request("POST", "/unread", zeros{}).WithContext(ctx)) // nobody reads it
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
	eventually(t, "all of them", func() bool { return d.gateway.Tunnels()[0].InFlight == 3*stalled })
	for range 200 {
		c.get("/x").wantUser(t, "alice")
	}
	if s := c.do(c.request("POST", "/sum", io.LimitReader(zeros{}, 4<<20))); s.Code != 200 {
		t.Errorf("an upload beside them: %d", s.Code)
	}
	close(shop.release)
	cancel()
	eventually(t, "the places to be given back", func() bool { return d.gateway.Tunnels()[0].InFlight == 0 })
}

// One of two servers hangs; what goes to the other is as quick as before.
func TestK8_StuckServerStopsNobody(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Streams = 20 }))
	shop := newShop()
	connected(t, d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders"))
	connected(t, d.serverConfig(t, billing, newGuard(t).Handler(echo), "billing"))
	c := d.client(t, alice, true)
	p99 := func() time.Duration {
		var all []time.Duration
		for range 1000 {
			began := time.Now()
			c.get("/x", header("Service", "billing")).wantUser(t, "alice")
			all = append(all, time.Since(began))
		}
		slices.Sort(all)
		return all[len(all)*99/100]
	}
	p99()
	before := p99()
	ctx, cancel := context.WithCancel(t.Context())
	stuck := d.client(t, bob, true)
	for range 60 { // 10 in the tunnel, which is bob's share, 50 wait for a place
		go stuck.http.Do(stuck.request("GET", "/wait", nil).WithContext(ctx))
	}
	eventually(t, "a queue", func() bool { return d.gateway.Waiting() == 50 })
	t.Logf("p99 %v before, %v beside a stuck server", before, p99())
	cancel()
}

func TestK8_Queue(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Streams, c.QueueLength, c.QueueWait = 1, 2, patience }))
	shop := newShop()
	connected(t, d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders"))
	c := d.client(t, alice, true)
	answers := make(chan seen, 10)
	ask := func() { answers <- c.get("/wait") }
	go ask()
	<-shop.began
	go ask()
	go ask()
	eventually(t, "a full queue", func() bool { return d.gateway.Waiting() == 2 })
	if s := c.get("/x"); s.Code != 503 || s.Answer.Get("Retry-After") == "" {
		t.Errorf("beyond the queue: %d %v", s.Code, s.Answer)
	}
	close(shop.release)
	for range 3 {
		if s := <-answers; s.Body != "done" {
			t.Errorf("%d %q", s.Code, s.Body)
		}
	}
}

func TestK8_QueueIsBoundedInTime(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.QueueWait = 50 * time.Millisecond }))
	c := d.client(t, alice, true)
	for _, service := range []string{"orders", "nobodys"} {
		if s := c.get("/x", header("Service", service)); s.Code != 503 || s.Answer.Get("Retry-After") == "" {
			t.Errorf("%d %v", s.Code, s.Answer)
		}
	}
	if n := d.gateway.Queues(); n != 0 {
		t.Errorf("%d services are remembered", n) // their names may be the callers' choice
	}
}

// Who waits is served as soon as a server comes.
func TestWaitingForAServer(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.QueueWait = patience }))
	answers := make(chan seen, 20)
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
	eventually(t, "all to wait", func() bool { return d.gateway.Waiting() == 21 })
	cancel()
	if err := <-left; err == nil {
		t.Error("who left was answered")
	}
	connected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	for range 20 {
		s := <-answers
		s.wantUser(t, "alice")
	}
	eventually(t, "the places to be given back", func() bool { return d.gateway.Tunnels()[0].InFlight == 0 })
}

func TestK8_TunnelsAreCounted(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.MaxTunnels = 1 }))
	connected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	s := start(t, d.serverConfig(t, billing, echo, "billing"))
	eventually(t, "a refusal", func() bool { return s.events.count(reverse.Refused) >= 2 })
	select {
	case <-s.Ready():
		t.Error("one too many")
	default:
	}
	d.client(t, alice, true).get("/x").wantUser(t, "alice")
}
