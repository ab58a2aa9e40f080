package reverse_test

import (
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Covers K11.
func TestForwardedHeadersCountOnlyInTheTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	g := newGuard(t, func(c *middleware.Config) { c.Fallback = middleware.ToDefault })
	h := g.Handler(echo)
	startConnected(t, d.serverConfig(t, orders, h, "orders"))
	lan := must[*ports.Port](t)(ports.New(portConfig("lan", ports.Request, &web, trusting(t, userCA))))
	serve(t, h, lan)
	forwardedHeaders := []func(*http.Request){
		header("Client-Cert", ":"+base64.StdEncoding.EncodeToString(alice.Cert.Raw)+":"), header("X-Mtls-Caller", "certificate"),
		header("X-Mtls-Tunnel", "request"), header("X-Mtls-Service", "orders"), header("X-Mtls-Remote", "9.9.9.9:9"),
	}
	onBothVersions(t, func(t *testing.T, h2 bool) {
		d.client(t, alice, h2).get("/x").wantUser(t, "alice")
		if s := newClient(t, lan.Addr().String(), nil, h2).get("/x", forwardedHeaders...); s.User != "Default" || s.Via != identity.ViaAnonymous || len(s.Headers["Client-Cert"])+len(s.Headers["X-Mtls-Caller"]) > 0 || strings.HasPrefix(s.Hop, "true") {
			t.Errorf("without a certificate: %+v", s)
		}
		if s := newClient(t, lan.Addr().String(), bob, h2).get("/x", forwardedHeaders...); s.User != "bob" || s.Via != identity.TLS {
			t.Errorf("with bob's: %+v", s)
		}
	})
}

func TestServerNamesApplyToATunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	g := newGuard(t, func(c *middleware.Config) {
		c.PerPort = map[string]middleware.PortConfig{"tunnel": {ServerNames: []string{"localhost"}}}
	})
	startConnected(t, d.serverConfig(t, orders, g.Handler(echo), "orders"))
	c := d.client(t, alice, true)
	c.get("/x", func(r *http.Request) { r.Host = "LOCALHOST." }).wantUser(t, "alice")
	c.get("/x", func(r *http.Request) { r.Host = "admin" }).want(t, 421, reason.Misdirected)
}

// The server's handler sends requests back to the gateway that they came from.
// Covers K10.
func TestLoopIsDetected(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	own := d.client(t, alice, true)
	back := must[*url.URL](t)(url.Parse(own.url))
	calls := make(chan struct{}, 100)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls <- struct{}{}
		(&httputil.ReverseProxy{Transport: own.http.Transport, Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(back) }}).ServeHTTP(w, r)
	})
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(h), "orders"))
	if s := d.client(t, alice, true).get("/x"); s.Code != http.StatusLoopDetected {
		t.Errorf("answered %d, want %d", s.Code, http.StatusLoopDetected)
	}
	if n := len(calls); n != 1 {
		t.Errorf("the handler was called %d times", n)
	}
}

// Without a port the gateway has no caller.
func TestRequestsWithoutServiceOrPortAreRefused(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, echo, gatewayConfig(func(c *reverse.GatewayConfig) {
		c.Service = func(r *http.Request) string { return r.Header.Get("Service") }
	}))
	c := d.client(t, alice, true)
	for service, code := range map[string]int{"": 404, "a b": 404, "orders": 200} {
		if s := c.get("/x", header("Service", service)); s.Code != code {
			t.Errorf("%q: answered %d, want %d", service, s.Code, code)
		}
	}
	c.get("/x", header("Service", "orders")).wantUser(t, "alice")
	plain := &http.Server{Handler: d.gateway, ErrorLog: discardLog}
	l := listen(t)
	go plain.Serve(l)
	t.Cleanup(func() { plain.Close() })
	r := must[*http.Request](t)(http.NewRequest("GET", "http://"+l.Addr().String()+"/x", nil))
	r.Header.Set("Service", "orders")
	c.do(r).want(t, 500, reason.NoPort)
}

// Only the guard needs the forwarded certificate; without a guard it is deleted too.
// Covers K1.
func TestHandlerWithoutGuardSeesNoForwardedCertificate(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	startConnected(t, d.serverConfig(t, orders, echo, "orders"))
	onBothVersions(t, func(t *testing.T, h2 bool) {
		for _, p := range []*testpki.Pair{alice, nil} {
			s := d.client(t, p, h2).get("/x")
			if s.Code != 200 || s.User != "" {
				t.Errorf("answered %d for %q", s.Code, s.User)
			}
			for name := range s.Headers {
				if strings.HasPrefix(name, "X-Mtls") || strings.HasPrefix(name, "Client-Cert") {
					t.Errorf("the handler sees %s", name)
				}
			}
		}
	})
}

// GatewayConfig.Caller may return a certificate that a verifier for servers verified.
// Covers B2.
func TestCallerVerifiedAsAServerIsRefused(t *testing.T) {
	t.Parallel()
	asServer := must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: []*x509.Certificate{userCA.Cert}, Usage: trust.UsageServer}))
	dave := userCA.Leaf("dave", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	})
	by := asServer
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) {
		c.Caller = func(r *http.Request) (trust.Verified, error) { return by.Verify(r.Context(), dave.Presented()) }
	}))
	g := newGuard(t, func(c *middleware.Config) { c.Unmapped = "somebody" })
	startConnected(t, d.serverConfig(t, orders, g.Handler(echo), "orders"))
	c := d.client(t, nil, false)
	c.get("/x").want(t, 403, reason.BadCertificate)
	by = trusting(t, userCA)
	c.get("/x").wantUser(t, "somebody")
}
