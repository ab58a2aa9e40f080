package e2e

import (
	"crypto/x509"
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

func spiffeID(domain, path string) testpki.Option {
	return func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: domain, Path: path}} }
}

// trustDomainSite is a site whose internal port trusts two SPIFFE trust domains beside people.
func trustDomainSite(t *testing.T) (s *site, acme, partner *testpki.Pair) {
	s, acme, partner = newSite(t), testpki.NewCA("acme.example"), testpki.NewCA("partner.example")
	s.put("acme.pem", string(acme.CertPEM()))
	s.put("partner.pem", string(partner.CertPEM()))
	s.sub(config, "      crls: [ca.crl]\n", "      trust_domains:\n        - {name: acme.example, anchors: [acme.pem]}\n        - {name: partner.example, anchors: [partner.pem]}\n")
	s.put("users.yaml", siteUsers+`  - {id: orders, user: orders, uri: "spiffe://acme.example/orders", issuer: "spiffe://acme.example"}
  - {id: partner, user: "{user}", uri: "spiffe://partner.example/{user}", issuer: "spiffe://partner.example"}
`)
	return s, acme, partner
}

// A trust domain's bundle verifies its own services, also after its authority has changed its key,
// and a service that a partner's authority forged is refused in the handshake.
// Covers B17.
func TestTrustDomainsOfTheFile(t *testing.T) {
	t.Parallel()
	s, acme, partner := trustDomainSite(t)
	l := s.start(mtlsguard.Options{})
	url := l.url("internal", "/whoami")
	next := testpki.NewCA("acme.example, next")
	orders := spiffeID("acme.example", "/orders")
	expect := func(when string, rows map[*testpki.Pair]string) {
		t.Helper()
		for holder, want := range rows {
			if got := get(s.client(holder), url); got != want {
				t.Errorf("%s, %s: %s, want %s", when, holder.Cert.URIs, got, want)
			}
		}
	}
	forged := partner.Leaf("orders", orders)
	expect("at first", map[*testpki.Pair]string{
		s.alice: "200 alice", acme.Leaf("x", orders): "200 orders", partner.Leaf("x", spiffeID("partner.example", "/billing")): "200 billing",
		forged: "refused", s.ca.Leaf("x", orders): "refused", next.Leaf("x", orders): "refused", acme.Leaf("x", spiffeID("acme.example", "/other")): "403 unmapped",
	})
	testkit.Eventually(t, "the forged certificate is logged", func() bool {
		return len(l.log.find("event", "handshake", "reason", "unknown-authority", "error", `of the trust domain "acme.example", and its anchor`)) == 1
	})
	s.put("acme.pem", string(acme.CertPEM())+string(next.CertPEM()))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	expect("with the next authority", map[*testpki.Pair]string{acme.Leaf("x", orders): "200 orders", next.Leaf("x", orders): "200 orders", forged: "refused"})
	s.put("acme.pem", string(next.CertPEM()))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	expect("without the old authority", map[*testpki.Pair]string{acme.Leaf("x", orders): "refused", next.Leaf("x", orders): "200 orders", forged: "refused"})
}

// A partner that puts an authority of people into its bundle does not stop reloads: the end of another
// authority takes effect, and a warning says what is left out.
// Covers B17.
func TestBundleOfAPartnerStopsNoReload(t *testing.T) {
	t.Parallel()
	s, acme, partner := trustDomainSite(t)
	l := s.start(mtlsguard.Options{})
	orders := acme.Leaf("x", spiffeID("acme.example", "/orders"))
	s.put("partner.pem", string(partner.CertPEM())+s.get("ca.pem"))
	s.put("acme.pem", string(testpki.NewCA("acme.example, next").CertPEM()))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	for holder, want := range map[*testpki.Pair]string{s.alice: "200 alice", orders: "refused", partner.Leaf("x", spiffeID("partner.example", "/billing")): "200 billing"} {
		if got := get(s.client(holder), l.url("internal", "/whoami")); got != want {
			t.Errorf("%s: %s, want %s", holder.Cert.URIs, got, want)
		}
	}
	testkit.Eventually(t, "the warning", func() bool { return strings.Contains(l.log.text(), "is one of Anchors too") })
}

// Errors of trust domains have their place and a hint.
func TestTrustDomainErrors(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ old, replacement, want string }{
		{"name: acme.example", "name: spiffe://acme.example", `name: "spiffe://acme.example" is not a trust domain`},
		{"name: acme.example", "name: partner.example", `name: "partner.example" is already used`},
		{"anchors: [acme.pem]", "anchors: []", `the trust domain "acme.example" has no anchors`},
		{"anchors: [acme.pem]", "anchors: [missing.pem]", "missing.pem cannot be read"},
		{"anchors: [acme.pem]", "anchors: [server.pem]", "is not a CA certificate"},
		{"anchors: [acme.pem]", "anchor: [acme.pem]", "anchor"},
	} {
		s, _, _ := trustDomainSite(t)
		s.sub(config, row.old, row.replacement)
		_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
		all := configerror.All(err)
		if len(all) == 0 || !strings.Contains(all[0].What, row.want) || all[0].Line == 0 || all[0].Hint == "" {
			t.Errorf("%s: got %v, want %q with a line and a hint", row.replacement, err, row.want)
		}
	}
}
