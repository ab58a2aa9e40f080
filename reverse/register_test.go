package reverse_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// Covers K2.
func TestServiceOfAnotherServerIsRefused(t *testing.T) {
	t.Parallel()
	for name, services := range map[string][]string{"alone": {"orders"}, "beside its own": {"billing", "orders"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.QueueWait = -1 }))
			s := startServer(t, d.serverConfig(t, billing, echo, services...))
			if why := s.events.waitForRefusal(t); why != reason.Denied {
				t.Errorf("the server was refused for %q, want %q", why, reason.Denied)
			}
			if why := d.events.waitForRefusal(t); why != reason.Denied {
				t.Errorf("the gateway refused for %q, want %q", why, reason.Denied)
			}
			if n := len(d.gateway.Tunnels()); n != 0 {
				t.Errorf("%d tunnels", n)
			}
			if got := d.client(t, alice, true).get("/x"); got.Code != 503 {
				t.Errorf("answered %d, want 503", got.Code)
			}
		})
	}
}

// Covers K2.
func TestErrorOfAuthorizeRefusesTheRegistration(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) {
		c.Authorize = func(context.Context, []*x509.Certificate) ([]string, error) {
			return []string{"orders"}, errors.New("the directory is down")
		}
	}))
	s := startServer(t, d.serverConfig(t, orders, echo, "orders"))
	if why := s.events.waitForRefusal(t); why != reason.Denied {
		t.Errorf("refused for %q, want %q", why, reason.Denied)
	}
}

// Certificates of other authorities and for other usages are refused.
// Covers K2.
func TestOthersCannotRegister(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	for name, p := range map[string]*testpki.Pair{
		"a caller": alice, "a gateway": gate, "unknown authority": testpki.NewCA("X").Leaf("orders"), "for servers only": serverCA.Server(), "no certificate": nil,
	} {
		c := d.serverConfig(t, orders, echo, "orders")
		c.Certificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if p == nil {
				return &tls.Certificate{}, nil
			}
			own := p.TLS()
			return &own, nil
		}
		s := startServer(t, c)
		testkit.Eventually(t, name+" refused", func() bool { return s.events.count(reverse.Refused) >= 2 })
		s.stop()
		select {
		case <-s.Ready():
			t.Errorf("%s is ready", name)
		default:
		}
	}
	if n := d.events.count(reverse.Registered); n != 0 {
		t.Errorf("%d registered", n)
	}
}

// On other ports the handler for registrations refuses every request.
// Covers K2.
func TestRegistrationNeedsARequirePort(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	lax := must[*ports.Port](t)(ports.New(portConfig("lax", ports.Request, &web, trusting(t, serverCA))))
	serve(t, d.gateway.Registrations(), lax)
	register := func(c *client, change ...func(*http.Request)) response {
		return c.do(c.request("POST", "/mtlsguard/tunnel", nil, append([]func(*http.Request){
			header("Connection", "Upgrade"), header("Upgrade", "mtlsguard-tunnel/1"), header("X-Mtls-Services", "orders"), header("X-Mtls-Streams", "10"),
		}, change...)...))
	}
	register(newClient(t, lax.Addr().String(), orders, false)).want(t, 421, reason.Misdirected)
	register(newClient(t, lax.Addr().String(), nil, false)).want(t, 421, reason.Misdirected)

	strict := func(h2 bool) *client {
		c := newClient(t, d.registration.Addr().String(), orders, h2)
		c.http.Transport.(*http.Transport).TLSClientConfig.RootCAs = gatewayCA.Pool()
		return c
	}
	spoil := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	for _, tc := range []struct {
		name  string
		spoil func(*http.Request)
		code  int
		why   reason.Reason
	}{
		{"protocol", spoil("Upgrade", "mtlsguard-tunnel/2"), 426, ""},
		{"method", func(r *http.Request) { r.Method = "GET" }, 426, ""},
		{"path", func(r *http.Request) { r.URL.Path = "/" }, 426, ""},
		{"services", spoil("X-Mtls-Services", ""), 400, reason.BadHeader},
		{"a blank", spoil("X-Mtls-Services", "orders, billing"), 400, reason.BadHeader},
		{"a dot first", spoil("X-Mtls-Services", ".orders"), 400, reason.BadHeader},
		{"one twice", spoil("X-Mtls-Services", "orders,orders"), 400, reason.BadHeader},
		{"two lines", header("X-Mtls-Services", "shared"), 400, reason.BadHeader},
		{"many", spoil("X-Mtls-Services", strings.Repeat("a,", 200)+"a"), 400, reason.BadHeader},
		{"streams", spoil("X-Mtls-Streams", "0"), 400, reason.BadHeader},
		{"streams +", spoil("X-Mtls-Streams", "+1"), 400, reason.BadHeader},
		{"other service", spoil("X-Mtls-Services", "billing"), 403, reason.Denied},
	} {
		if s := register(strict(false), tc.spoil); s.Code != tc.code || s.Reason != tc.why {
			t.Errorf("%s: answered %d %q, want %d %q", tc.name, s.Code, s.Reason, tc.code, tc.why)
		}
	}
}

// The result of Authorize may change.
// Covers K2.
func TestRecheckClosesTunnelsThatAreNotAuthorized(t *testing.T) {
	t.Parallel()
	allowed := make(chan []string, 100)
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) {
		c.Authorize = func(context.Context, []*x509.Certificate) ([]string, error) {
			select {
			case a := <-allowed:
				return a, nil
			default:
				return nil, nil
			}
		}
	}))
	allowed <- []string{"orders"}
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	allowed <- []string{"orders", "more"}
	d.gateway.Recheck(t.Context())
	d.client(t, alice, true).get("/x").wantUser(t, "alice")
	d.gateway.Recheck(t.Context())
	testkit.Eventually(t, "the tunnel to go", func() bool { return len(d.gateway.Tunnels()) == 0 })
}

// Covers K5.
func TestRevokedServerLosesItsTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders", "shared"))
	startConnected(t, d.serverConfig(t, billing, newGuard(t).Handler(echo), "billing"))
	c := d.registration.Config()
	c.Trust = trusting(t, serverCA, orders)
	if err := d.registration.Reconfigure(c); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the tunnel to go", func() bool { return s.events.count(reverse.Gone) == 1 && d.events.count(reverse.Gone) == 1 })
	testkit.Eventually(t, "attempts", func() bool { return s.events.count(reverse.Refused) >= 2 })
	if conns := d.gateway.Tunnels(); len(conns) != 1 || conns[0].Services[0] != "billing" {
		t.Errorf("got the tunnels %+v, want one for billing", conns)
	}
	d.client(t, alice, true).get("/x", header("Service", "billing")).wantUser(t, "alice")
}

// Covers K5.
func TestRevokedGatewayLosesItsTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	c := d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders")
	s := startConnected(t, c)
	s.trustGateways(t, trusting(t, gatewayCA, gate))
	testkit.Eventually(t, "the tunnel to go", func() bool { return s.events.count(reverse.Gone) == 1 && len(d.gateway.Tunnels()) == 0 })
	if why := s.events.waitForRefusal(t); why != reason.Revoked {
		t.Errorf("refused for %q, want %q", why, reason.Revoked)
	}
	testkit.Eventually(t, "attempts", func() bool { return s.events.count(reverse.Refused) >= 3 })
	s.trustGateways(t, c.Gateways.Trust)
	testkit.Eventually(t, "another tunnel", func() bool { return len(d.gateway.Tunnels()) == 1 })
}

// A server that pauses in the middle of its registration cannot keep an outdated result of
// Authorize.
//
// Covers K20.
func TestRegistrationInProgressIsRechecked(t *testing.T) {
	t.Parallel()
	for name, after := range map[string][]string{"may not serve any more": {"shared"}, "may still serve": {"orders"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var allowed atomic.Pointer[[]string]
			allowed.Store(&[]string{"orders"})
			d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) {
				c.Authorize = func(context.Context, []*x509.Certificate) ([]string, error) { return *allowed.Load(), nil }
			}))
			c, r := registerRaw(t, d, "orders")
			must[int](t)(io.ReadFull(r, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))))
			awaitRequest(t, r)
			allowed.Store(&after)
			d.gateway.Recheck(t.Context())
			answer := "\x88\x00\x0dx-mtls-tunnel\x07control"
			fmt.Fprintf(c, "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00%c\x01\x04\x00\x00\x00\x01%s", len(answer), answer)
			if after[0] == "orders" {
				testkit.Eventually(t, "the tunnel", func() bool { return len(d.gateway.Tunnels()) == 1 })
				return
			}
			if why := d.events.waitForRefusal(t); why != reason.Denied {
				t.Errorf("refused for %q, want %q", why, reason.Denied)
			}
			testkit.Eventually(t, "its end", func() bool { return d.events.count(reverse.Gone) == 1 })
			if n := len(d.gateway.Tunnels()); n != 0 {
				t.Errorf("%d tunnels", n)
			}
		})
	}
}

// awaitRequest reads HTTP/2 frames until one opens a stream: an answer before that would be a
// connection error.
func awaitRequest(tb testing.TB, r io.Reader) {
	tb.Helper()
	for kind := byte(0); kind != 1; {
		head := make([]byte, 9)
		must[int](tb)(io.ReadFull(r, head))
		kind = head[3]
		must[int64](tb)(io.CopyN(io.Discard, r, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])))
	}
}
