package middleware_test

import (
	"context"
	"crypto/x509"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// everybody maps every certificate to alice.
type everybody struct{}

func (everybody) Map(context.Context, trust.Verified, string) (certmap.Match, error) {
	return certmap.Match{User: "alice"}, nil
}

// A certificate that was verified for usage server identifies no user, with any mapping.
// Covers B2.
func TestVerifierForServersNamesNoUser(t *testing.T) {
	t.Parallel()
	w := shared()
	alice := w.ca.Leaf("alice", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	})
	as := func(u trust.Usage) *trust.Verifier {
		return must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: []*x509.Certificate{w.ca.Cert}, Usage: u}))
	}
	pinned := must[*certmap.Table](t)(certmap.New(certmap.Mapping{ID: "m-alice", User: "alice", Fingerprint: trust.FingerprintOf(alice.Cert)}))
	for name, change := range map[string]func(*middleware.Config){
		"mapped":           func(c *middleware.Config) { c.Map = pinned },
		"unmapped is user": func(c *middleware.Config) { c.Unmapped = "alice" },
		"another mapper":   func(c *middleware.Config) { c.Map = everybody{} },
	} {
		t.Log(name)
		g := newGuard(t, change)
		tunnelled(t, g, as(trust.UsageClient), alice, nil).wantUser(t, "alice")
		tunnelled(t, g, as(trust.UsageServer), alice, nil).want(t, 403, reason.WrongUsage)
		tunnelled(t, g, as(trust.UsageClient), alice, nil).wantUser(t, "alice")
	}
	v := must[trust.Verified](t)(as(trust.UsageServer).Verify(t.Context(), alice.Presented()))
	if _, err := pinned.Map(t.Context(), v, "internal"); err == nil {
		t.Error("certmap accepts it")
	}

	gateways := must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: []*x509.Certificate{testpki.NewCA("Gateway CA").Cert}, Usage: trust.UsageServer}))
	receiver := must[*forwarded.Receiver](t)(forwarded.New(forwarded.Config{
		Topology: forwarded.RFC9440(), Users: as(trust.UsageClient), Gateways: forwarded.Gateways{Names: []string{"localhost"}, Trust: gateways},
	}))
	for name, p := range map[string]middleware.PortConfig{
		"a port's trust":        {Trust: as(trust.UsageServer)},
		"a port behind servers": {Forwarded: receiver},
	} {
		if _, err := middleware.New(middleware.Config{Map: pinned, Policy: newPolicy(t, "# no rule"), PerPort: map[string]middleware.PortConfig{"internal": p}}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
