package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/tunnel"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// tunnelled returns the answer to a request through a tunnel with the certificate p, or with
// an error instead of it.
func tunnelled(tb testing.TB, g *middleware.Guard, v *trust.Verifier, p *testpki.Pair, refused error, change ...func(*http.Request, *tunnel.Caller)) seen {
	tb.Helper()
	r := httptest.NewRequest("GET", "/x", nil)
	c := &tunnel.Caller{Port: "tunnel", ServerName: "api.acme.example", Verify: func(ctx context.Context) (trust.Verified, error) {
		if refused != nil || p == nil {
			return trust.Verified{}, refused
		}
		return v.Verify(ctx, p.Presented())
	}}
	for _, f := range change {
		f(r, c)
	}
	w := httptest.NewRecorder()
	g.Handler(echo).ServeHTTP(w, r.WithContext(tunnel.NewContext(r.Context(), c)))
	body := must[[]byte](tb)(io.ReadAll(w.Result().Body))
	s := seen{Code: w.Code, Body: string(body), Answer: w.Result().Header}
	if len(body) > 0 && body[0] == '{' {
		if err := json.Unmarshal(body, &s); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// Covers K6, K1.
func TestTunnelledCallers(t *testing.T) {
	t.Parallel()
	w, v := shared(), newTrust(t, nil)
	strict := newGuard(t)
	s := tunnelled(t, strict, v, w.alice, nil)
	s.wantUser(t, "alice")
	if s.Via != identity.Tunnel || s.Port != "tunnel" || s.Mapping != "m-alice" {
		t.Errorf("got %+v, want alice by the tunnel", s)
	}
	none := reason.Refuse(reason.NoCertificate, "")
	tunnelled(t, strict, v, nil, none).want(t, 403, reason.NoCertificate)
	tunnelled(t, strict, v, w.unmapped, nil).want(t, 403, reason.Unmapped)
	tunnelled(t, strict, v, w.untrusted, nil).want(t, 403, reason.UnknownAuthority)
	tunnelled(t, strict, v, w.late, nil).want(t, 403, reason.Expired)
	tunnelled(t, strict, v, nil, reason.Refuse(reason.BadHeader, "")).want(t, 400, reason.BadHeader)
	tunnelled(t, strict, v, nil, errors.New("odd")).want(t, 403, reason.BadCertificate)
	tunnelled(t, strict, v, nil, nil).want(t, 403, reason.BadCertificate) // no certificate and no error

	lax := newGuard(t, func(c *middleware.Config) { c.Fallback = middleware.ToDefault })
	if s := tunnelled(t, lax, v, nil, none); s.User != identity.Default || s.Via != identity.ViaAnonymous {
		t.Errorf("got %+v, want Default", s)
	}
	for _, refused := range []error{reason.Refuse(reason.BadHeader, ""), reason.Refuse(reason.Revoked, ""), errors.New("odd")} {
		if s := tunnelled(t, lax, v, nil, refused); s.Code < 400 {
			t.Errorf("%v became %q", refused, s.User) // only "none" may become Default
		}
	}
	panics := func(_ *http.Request, c *tunnel.Caller) {
		c.Verify = func(context.Context) (trust.Verified, error) { panic("x") }
	}
	tunnelled(t, lax, v, nil, nil, panics).want(t, 503, reason.PolicyError)

	other := newGuard(t, func(c *middleware.Config) {
		c.PerPort = map[string]middleware.PortConfig{"tunnel": {Authenticators: []middleware.Authenticator{bearer{}}}}
	})
	if s := tunnelled(t, other, v, nil, none); s.User != "carol" || s.Via != identity.Authenticator {
		t.Errorf("got %+v, want carol by the authenticator", s)
	}
	tunnelled(t, other, v, w.alice, nil).wantUser(t, "alice")
}

type bearer struct{}

func (bearer) Authenticate(*http.Request) (string, error) { return "carol", nil }

// Covers K1.
func TestTunnelIsAPort(t *testing.T) {
	t.Parallel()
	w, v := shared(), newTrust(t, nil)
	g := newGuard(t, func(c *middleware.Config) {
		c.PerPort = map[string]middleware.PortConfig{"tunnel": {ServerNames: []string{"api.acme.example"}}}
		c.Policy = newPolicy(t, "p, user:alice, tunnel, GET, /x, allow")
	})
	host := func(r *http.Request, _ *tunnel.Caller) { r.Host = "api.acme.example" }
	tunnelled(t, g, v, w.alice, nil, host).wantUser(t, "alice")
	tunnelled(t, g, v, w.bob, nil, host).want(t, 403, reason.NoRule)
	tunnelled(t, g, v, w.alice, nil).want(t, 421, reason.Misdirected) // example.com
	tunnelled(t, g, v, w.alice, nil, host, func(_ *http.Request, c *tunnel.Caller) { c.ServerName = "admin" }).want(t, 421, reason.Misdirected)
	tunnelled(t, g, v, w.alice, nil, host, func(_ *http.Request, c *tunnel.Caller) { c.Port = "other" }).want(t, 403, reason.NoRule)
	tunnelled(t, g, v, w.alice, nil, host, func(r *http.Request, _ *tunnel.Caller) { r.URL.Path, r.RequestURI = "/x//y", "/x//y" }).want(t, 400, reason.AmbiguousPath)

	// Without a caller, the request is refused as one without a port.
	rec := httptest.NewRecorder()
	g.Handler(echo).ServeHTTP(rec, httptest.NewRequest("GET", "/x", nil))
	if rec.Code != 500 {
		t.Errorf("without a caller: %d, want 500", rec.Code)
	}
}

// Identity headers do not count, and do not arrive.
// Covers K1.
func TestTunnelledIdentityHeadersAreDeleted(t *testing.T) {
	t.Parallel()
	s := tunnelled(t, newGuard(t), newTrust(t, nil), shared().alice, nil, func(r *http.Request, _ *tunnel.Caller) {
		r.Header["Client-Cert"], r.Header["X-Mtls-Caller"], r.Header["X-Remote-User"] = []string{":AAAA:"}, []string{"none"}, []string{"bob"}
	})
	s.wantUser(t, "alice")
	if len(s.Headers) != 0 {
		t.Errorf("the handler sees %v", s.Headers)
	}
}

// The cached caller of a tunnel is discarded with the mapping and with the trust, and each
// tunnel has its own.
// Covers K4.
func TestTunnelledCallersAreRemembered(t *testing.T) {
	t.Parallel()
	w, v := shared(), newTrust(t, nil)
	table := func(all ...certmap.Mapping) *certmap.Table { return must[*certmap.Table](t)(certmap.New(all...)) }
	live := certmap.NewLive(table(mappings()...))
	g := newGuard(t, func(c *middleware.Config) { c.Map = live })
	port := func(name string) func(*http.Request, *tunnel.Caller) {
		return func(_ *http.Request, c *tunnel.Caller) { c.Port = name }
	}
	for range 2 {
		tunnelled(t, g, v, w.alice, nil).wantUser(t, "alice")
		if s := tunnelled(t, g, v, w.alice, nil, port("second")); s.Port != "second" {
			t.Errorf("the port is %q, want %q", s.Port, "second")
		}
	}
	live.Replace(table(certmap.Mapping{ID: "m2", User: "alina", Fingerprint: trust.FingerprintOf(w.alice.Cert), Ports: []string{"tunnel"}}))
	tunnelled(t, g, v, w.alice, nil).wantUser(t, "alina")
	tunnelled(t, g, v, w.alice, nil, port("second")).want(t, 403, reason.Unmapped)
	tunnelled(t, g, newTrust(t, nil), w.alice, nil).wantUser(t, "alina") // another trust
	live.Replace(table())
	tunnelled(t, g, v, w.alice, nil).want(t, 403, reason.Unmapped)
}

func TestTunnelOutcomeNamesTheGateway(t *testing.T) {
	t.Parallel()
	w, v := shared(), newTrust(t, nil)
	o := &recorder{}
	g := newGuard(t, func(c *middleware.Config) { c.Observe = o.observe })
	gateway := must[trust.Verified](t)(v.Verify(t.Context(), w.bob.Presented()))
	tunnelled(t, g, v, w.alice, nil, func(_ *http.Request, c *tunnel.Caller) { c.Gateway = gateway })
	all := o.take()
	if len(all) != 1 || all[0].Gateway.Fingerprint() != gateway.Fingerprint() || all[0].Verified.Fingerprint() != trust.FingerprintOf(w.alice.Cert) || all[0].Port != "tunnel" {
		t.Errorf("observed %+v, want alice's certificate and the gateway's", all)
	}
}

func BenchmarkTunnelledCaller(b *testing.B) {
	w, v := shared(), newTrust(b, nil)
	g := newGuard(b)
	verified := must[trust.Verified](b)(v.Verify(b.Context(), w.alice.Presented()))
	c := &tunnel.Caller{Port: "tunnel", Verify: func(context.Context) (trust.Verified, error) { return verified, nil }}
	r := httptest.NewRequest("GET", "/x", nil)
	r = r.WithContext(tunnel.NewContext(r.Context(), c))
	b.ReportAllocs()
	for b.Loop() {
		if o := g.Check(r); !o.Allowed {
			b.Fatal(o.Reason)
		}
	}
}
