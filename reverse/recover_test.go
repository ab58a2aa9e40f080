package reverse_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// The panic ends neither the process nor the requests of other callers.
//
// Covers K24.
func TestPanicsOfConfigFunctionsAreRefusals(t *testing.T) {
	t.Parallel()
	var bad atomic.Bool
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) {
		c.QueueWait = 50 * time.Millisecond
		c.Pick = func(free []reverse.Tunnel) reverse.Tunnel {
			if bad.Load() {
				panic("pick")
			}
			return free[0]
		}
		c.Authorize = func(ctx context.Context, chain []*x509.Certificate) ([]string, error) {
			if bad.Load() {
				panic("authorize")
			}
			return authorizeByName(ctx, chain)
		}
	}))
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	l := listen(t)
	go d.gateway.ServePassthrough(l, func(string) string { panic("service") })
	if c, err := tls.Dial("tcp", l.Addr().String(), clientConfig(alice)); err == nil {
		c.Close()
		t.Error("a connection end to end")
	}
	c := d.client(t, alice, true)
	bad.Store(true)
	c.get("/x").want(t, http.StatusServiceUnavailable, "")
	bad.Store(false)
	c.get("/x").wantUser(t, "alice")
	bad.Store(true)
	d.gateway.Recheck(t.Context())
	testkit.Eventually(t, "the tunnel to go", func() bool { return len(d.gateway.Tunnels()) == 0 })
	bad.Store(false)
	testkit.Eventually(t, "another", func() bool { return c.get("/x").Code == 200 })
}
