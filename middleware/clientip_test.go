package middleware_test

import (
	"net/http"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// The address that a gateway sends belongs to its request alone, although requests share the
// connection, the certificate and its cached identity. It changes no decision. Covers N7.
func TestClientIPIsOfItsRequest(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		var o recorder
		reads := newReceiver(t, func(c *forwarded.Config) { c.ClientIP = forwarded.ClientIP{Header: "X-Forwarded-For"} })
		g := newGuard(t, withReceiver("reads", reads, middleware.ToDefault), withReceiver("ignores", newReceiver(t), middleware.Strict), func(c *middleware.Config) { c.Observe = o.observe })
		gateway, ignoring, direct := newGatewayPort(t, "reads", ports.Require), newGatewayPort(t, "ignores", ports.Require), newPort(t, "internal", ports.Require)
		serve(t, g.Identify(g.Authorize(echo)), gateway, ignoring, direct)
		e := gatewayPKI()
		byGateway := dial(t, gateway, e.gateway, h2)
		for _, row := range []struct {
			name, line   string
			c            *client
			forwards     func(*http.Request)
			user         string
			remote, told string // of the identity, of the outcome
		}{
			{"stated", "192.0.2.1", byGateway, forwards(shared().alice), "alice", "192.0.2.1", "192.0.2.1"},
			{"another address of the same caller", "10.9.9.9, 2001:db8::7", byGateway, forwards(shared().alice), "alice", "2001:db8::7", "2001:db8::7"},
			{"the first one again", "192.0.2.1", byGateway, forwards(shared().alice), "alice", "192.0.2.1", "192.0.2.1"},
			{"another caller", "192.0.2.2", byGateway, forwards(shared().bob), "bob", "192.0.2.2", "192.0.2.2"},
			{"no address", "", byGateway, forwards(shared().alice), "alice", "invalid IP", "unknown"},
			{"garbage", "192.0.2.1, <script>", byGateway, forwards(shared().alice), "alice", "invalid IP", "unknown"},
			{"Default", "192.0.2.3", byGateway, forwards(nil), "Default", "192.0.2.3", "192.0.2.3"},
			{"Default without address", "", byGateway, forwards(nil), "Default", "invalid IP", "unknown"},
			{"a port that does not read it", "192.0.2.1", dial(t, ignoring, e.gateway, h2), forwards(shared().alice), "alice", "invalid IP", ""},
			{"a direct caller", "192.0.2.1", dial(t, direct, shared().alice, h2), forwards(nil), "alice", "127.0.0.1", ""},
		} {
			got := row.c.get("/whoami", row.forwards, func(r *http.Request) {
				if row.line != "" {
					r.Header.Set("X-Forwarded-For", row.line)
				}
			})
			got.want(t, 200, "")
			got.wantUser(t, row.user)
			if got.Remote != row.remote || got.Headers.Get("X-Forwarded-For") != row.line {
				t.Errorf("%s: %q, with %q", row.name, got.Remote, got.Headers)
			}
			for _, outcome := range o.take() {
				if outcome.ClientIP != row.told {
					t.Errorf("%s: the outcome has %q, want %q", row.name, outcome.ClientIP, row.told)
				}
			}
		}
		// A refusal has the address too, and no address is read from a connection that is not a
		// gateway's.
		refused := byGateway.get("//whoami", forwards(shared().alice), header("X-Forwarded-For", "192.0.2.1"))
		if all := o.take(); refused.Code != 400 || len(all) != 1 || all[0].ClientIP != "192.0.2.1" {
			t.Errorf("answered %d, observed %+v; want 400 with the address 192.0.2.1", refused.Code, all)
		}
		stranger := dial(t, gateway, e.other, h2).get("/whoami", forwards(shared().alice), header("X-Forwarded-For", "192.0.2.1"))
		stranger.want(t, 403, reason.UntrustedGateway)
		if all := o.take(); len(all) != 1 || all[0].ClientIP != "" {
			t.Errorf("observed %+v, want one request without an address", all)
		}
	})
}
