package reverse_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// Each request goes to the server with the fewest requests in flight.
func TestServersShareAService(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	first, second := newTestHandler(), newTestHandler()
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(first), "shared"))
	startConnected(t, d.serverConfig(t, billing, newGuard(t).Handler(second), "shared", "billing"))
	c := d.client(t, alice, true)
	answers := make(chan response, 10)
	for range 10 {
		go func() { answers <- c.get("/wait", header("Service", "shared")) }()
	}
	for range 5 {
		<-first.began
		<-second.began
	}
	for _, conn := range d.gateway.Tunnels() {
		if conn.InFlight != 5 {
			t.Errorf("%v has %d requests in flight, want 5", conn.Services, conn.InFlight)
		}
	}
	close(first.release)
	close(second.release)
	for range 10 {
		if s := <-answers; s.Body != "done" {
			t.Errorf("answered %d %q, want done", s.Code, s.Body)
		}
	}
	c.get("/x", header("Service", "billing")).wantUser(t, "alice")
}

func TestPickChoosesTheTunnel(t *testing.T) {
	t.Parallel()
	var choose func([]reverse.Tunnel) reverse.Tunnel
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) {
		c.QueueWait = -1
		c.Pick = func(all []reverse.Tunnel) reverse.Tunnel { return choose(all) }
	}))
	name := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(s)) })
	}
	startConnected(t, d.serverConfig(t, orders, name("orders"), "shared"))
	startConnected(t, d.serverConfig(t, billing, name("billing"), "shared"))
	c := d.client(t, alice, true)
	for _, want := range []string{"billing", "orders", "billing"} {
		choose = func(all []reverse.Tunnel) reverse.Tunnel {
			i := slices.IndexFunc(all, func(c reverse.Tunnel) bool { return c.Certificate.Leaf().Subject.CommonName == want })
			return all[i]
		}
		if s := c.get("/x", header("Service", "shared")); s.Body != want {
			t.Errorf("%q served, want %q", s.Body, want)
		}
	}
	choose = func([]reverse.Tunnel) reverse.Tunnel { return reverse.Tunnel{} }
	if s := c.get("/x", header("Service", "shared")); s.Code != 503 || s.Answer.Get("Retry-After") == "" || s.Answer.Get("Content-Type") != "application/problem+json" {
		t.Errorf("answered %d with %v, want 503, Retry-After and a problem document", s.Code, s.Answer)
	}
}

func TestServerKeepsConnectionsToEachGateway(t *testing.T) {
	t.Parallel()
	one, two := newDMZ(t), newDMZ(t)
	c := one.serverConfig(t, orders, newGuard(t).Handler(echo), "orders")
	c.Addrs = append(c.Addrs, two.registration.Addr().String())
	c.Conns = 2
	s := startConnected(t, c)
	testkit.Eventually(t, "four tunnels", func() bool {
		n := s.Tunnels()
		return n[c.Addrs[0]] == 2 && n[c.Addrs[1]] == 2
	})
	one.client(t, alice, true).get("/x").wantUser(t, "alice")
	two.client(t, bob, true).get("/x").wantUser(t, "bob")
}

func TestConfigErrorsAreAllReported(t *testing.T) {
	t.Parallel()
	_, err := reverse.NewGateway(reverse.GatewayConfig{Ping: -1, MaxAge: -1, Streams: 1e6, QueueLength: -1, Upgrades: []string{"a b"}})
	for _, what := range []string{"Authorize", "Service", "Ping", "MaxAge", "Streams", "QueueLength", "Upgrades[0]"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("no error for %s: %v", what, err)
		}
	}
	_, err = reverse.NewServer(reverse.ServerConfig{Name: "*", Services: []string{"a", "a", "b c"}, Addrs: []string{"x", ":1"}, Conns: -1, Streams: -1, PingTimeout: -1})
	for _, what := range []string{"Name", "Services[1]", "Services[2]", "Addrs[0]", "Addrs[1]", "Certificate", "Handler", "Conns", "Streams", "Ping", "Users", "Gateways.Trust", "no gateway is named"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("no error for %s: %v", what, err)
		}
	}
	if _, err := reverse.NewServer(reverse.ServerConfig{}); err == nil {
		t.Error("the zero configuration is accepted")
	}
}
