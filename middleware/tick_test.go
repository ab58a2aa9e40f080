package middleware_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// On a port that nobody serves no tick passes: the clock is read for every request,
// and what expires is noticed.
func TestG1_ExpiresWhereNoTickPasses(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Require)
	end := time.Now().Add(2 * time.Second)
	leaf := shared().ca.Leaf("short", func(c *x509.Certificate) { c.NotAfter = end })
	g := newGuard(t, func(c *middleware.Config) {
		c.Map = must[*certmap.Table](t)(certmap.New(certmap.Mapping{ID: "m", User: "alice", Fingerprint: trust.FingerprintOf(leaf.Cert)}))
	})
	ctx, err := port.Simulate(t.Context(), connstate.Client{Certificates: leaf.Presented(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := connstate.FromContext(ctx); !ok || c.Port().Tick() >= 0 {
		t.Errorf("a port that is not served has tick %d", c.Port().Tick())
	}
	check := func() middleware.Outcome {
		r, err := http.NewRequestWithContext(ctx, "GET", "https://localhost/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RequestURI, r.TLS = "/x", &tls.ConnectionState{}
		return g.Check(r)
	}
	for range 2 { // the second time the connection remembers
		if o := check(); !o.Allowed {
			t.Fatalf("refused: %s %s", o.Reason, o.Detail)
		}
	}
	time.Sleep(time.Until(end.Add(time.Second)))
	if o := check(); o.Allowed || o.Reason != reason.Expired {
		t.Errorf("after its end: allowed %t, %s", o.Allowed, o.Reason)
	}
}
