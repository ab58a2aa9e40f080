package middleware_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// The cached caller of a connection expires with the certificate, with or without other
// requests on the port.
// Covers G1.
func TestRememberedCallerEndsWithTheCertificate(t *testing.T) {
	t.Parallel()
	ca, start := shared().ca, time.Now()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(start)) // the fake clock begins in 2000, when no certificate is valid yet
		port := newPort(t, "p", ports.Require)
		end := time.Now().Add(time.Hour).Truncate(time.Second)
		leaf := ca.Leaf("short", func(c *x509.Certificate) { c.NotAfter = end })
		g := newGuard(t, func(c *middleware.Config) {
			c.Map = must[*certmap.Table](t)(certmap.New(certmap.Mapping{ID: "m", User: "alice", Fingerprint: trust.FingerprintOf(leaf.Cert)}))
		})
		ctx, err := connstate.Simulate(t.Context(), port, connstate.Client{Certificates: leaf.Presented(), ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		check := func() middleware.Outcome {
			r, err := http.NewRequestWithContext(ctx, "GET", "https://localhost/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.RequestURI, r.TLS = "/x", &tls.ConnectionState{}
			return g.Check(r)
		}
		first := check()
		time.Sleep(time.Until(end))
		if o := check(); !first.Allowed || !o.Allowed || o.Identity != first.Identity {
			t.Fatalf("in the last second: %s %s, identity cached %t", o.Reason, o.Detail, o.Identity == first.Identity)
		}
		time.Sleep(time.Second)
		if o := check(); o.Allowed || o.Reason != reason.Expired {
			t.Errorf("after the end: allowed %t, %s", o.Allowed, o.Reason)
		}
	})
}
