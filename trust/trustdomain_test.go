package trust_test

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// uris makes a certificate with these URIs.
func uris(t testing.TB, all ...string) testpki.Option {
	return func(c *x509.Certificate) {
		for _, text := range all {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		}
	}
}

// A bundle verifies the certificates of its own trust domain and no others, whatever its
// authority signs, and no other anchor verifies these.
// Covers B17.
func TestBundleVerifiesItsOwnTrustDomainOnly(t *testing.T) {
	t.Parallel()
	acme, acmeNext, partner, people := testpki.NewCA("acme"), testpki.NewCA("acme, next"), testpki.NewCA("partner"), testpki.NewCA("people")
	v := verifier(t, trust.Config{Anchors: certs{people.Cert}, TrustDomains: map[string][]*x509.Certificate{
		"acme.example": {acme.Cert, acmeNext.Cert}, "partner.example": {partner.Cert},
	}})
	orders := uris(t, "spiffe://acme.example/orders")
	for _, row := range []struct {
		name   string
		leaf   *testpki.Pair
		want   reason.Reason
		domain string
	}{
		{"an SVID", acme.Leaf("orders", orders), "", "acme.example"},
		{"an SVID of the next authority", acmeNext.Leaf("orders", orders), "", "acme.example"},
		{"an SVID of an intermediate", acme.SubCA("acme, second floor").Leaf("orders", orders), "", "acme.example"},
		{"an SVID of the partner", partner.Leaf("billing", uris(t, "spiffe://partner.example/billing")), "", "partner.example"},
		{"a person", people.Leaf("alice"), "", ""},
		{"a person with a URI", people.Leaf("alice", uris(t, "https://acme.example/orders")), "", ""},
		{"an ID of a trust domain without anchors", people.Leaf("alice", uris(t, "spiffe://other.example/orders")), "", ""},

		{"forged by the partner", partner.Leaf("orders", orders), reason.UnknownAuthority, ""},
		{"forged by the partner's intermediate", partner.SubCA("acme").Leaf("orders", orders), reason.UnknownAuthority, ""},
		{"forged by the authority of people", people.Leaf("orders", orders), reason.UnknownAuthority, ""},
		{"of people, in upper case", people.Leaf("orders", uris(t, "SPIFFE://ACME.example/orders")), reason.UnknownAuthority, ""},
		{"of people, with a user and a port", people.Leaf("orders", uris(t, "spiffe://u@acme.example:80/orders")), reason.UnknownAuthority, ""},
		{"of people, as one of two URIs", people.Leaf("orders", uris(t, "https://a/b", "spiffe://partner.example/billing")), reason.UnknownAuthority, ""},
		{"a trust domain without anchors", acme.Leaf("orders", uris(t, "spiffe://other.example/orders")), reason.UnknownAuthority, ""},
		{"a longer trust domain", acme.Leaf("orders", uris(t, "spiffe://acme.example.evil/orders")), reason.UnknownAuthority, ""},
		{"a shorter trust domain", acme.Leaf("orders", uris(t, "spiffe://acme/orders")), reason.UnknownAuthority, ""},
		{"no URI", acme.Leaf("orders"), reason.BadCertificate, ""},
		{"two URIs", acme.Leaf("orders", uris(t, "spiffe://acme.example/orders", "spiffe://acme.example/admin")), reason.BadCertificate, ""},
		{"no path", acme.Leaf("orders", uris(t, "spiffe://acme.example")), reason.BadCertificate, ""},
		{"an empty path", acme.Leaf("orders", uris(t, "spiffe://acme.example/")), reason.BadCertificate, ""},
		{"a path with dots", acme.Leaf("orders", uris(t, "spiffe://acme.example/a/../orders")), reason.BadCertificate, ""},
		{"another scheme", acme.Leaf("orders", uris(t, "https://acme.example/orders")), reason.BadCertificate, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := expect(t, v, row.leaf.Presented(), row.want)
			if got.TrustDomain() != row.domain {
				t.Errorf("the trust domain is %q, want %q", got.TrustDomain(), row.domain)
			}
			for _, name := range []string{"acme.example", "partner.example"} {
				if is := trustaccess.IssuedUnder(got, trust.TrustDomainIssuer(name)); is != (name == row.domain) {
					t.Errorf("issued under %s: %t, want %t", name, is, (name == row.domain))
				}
			}
		})
	}
}

// An anchor of one trust domain that another one cross-signed verifies its own trust domain
// only: the chain to the other bundle does not count, and its issuer does not either.
// Covers B17.
func TestCrossSignedAuthorityKeepsItsTrustDomain(t *testing.T) {
	t.Parallel()
	acme, partner := testpki.NewCA("acme"), testpki.NewCA("partner")
	crossed := testpki.Make(partner, acme.Key, &x509.Certificate{Subject: acme.Cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	v := verifier(t, trust.Config{TrustDomains: map[string][]*x509.Certificate{"acme.example": {acme.Cert}, "partner.example": {partner.Cert}}})
	presented := append(acme.Leaf("orders", uris(t, "spiffe://acme.example/orders")).Presented(), crossed.Cert)
	got := expect(t, v, presented, "")
	if len(got.Chains()) != 1 || trustaccess.IssuedUnder(got, trust.SPKIOf(partner.Cert)) {
		t.Errorf("%d chains", len(got.Chains()))
	}
	v = verifier(t, trust.Config{TrustDomains: map[string][]*x509.Certificate{"partner.example": {partner.Cert}}})
	expect(t, v, presented, reason.UnknownAuthority)
}

// Trust domains may share an authority: it verifies the certificates of both.
func TestTrustDomainsMayShareAnAuthority(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("both")
	v := verifier(t, trust.Config{TrustDomains: map[string][]*x509.Certificate{"a.example": {ca.Cert}, "b.example": {ca.Cert}}})
	for _, name := range []string{"a.example", "b.example"} {
		if got := expect(t, v, ca.Leaf("x", uris(t, "spiffe://"+name+"/x")).Presented(), ""); got.TrustDomain() != name {
			t.Errorf("%s: got the trust domain %q", name, got.TrustDomain())
		}
	}
	expect(t, v, ca.Leaf("x", uris(t, "spiffe://c.example/x")).Presented(), reason.UnknownAuthority)
	if n := len(v.Anchors()); n != 1 {
		t.Errorf("%d anchors", n)
	}
}

// A partner that puts an authority of users into its bundle stops no reload, locks no user out, and
// gains nothing. Covers B17.
func TestBundleWithAnAnchorOfPeopleChangesNothing(t *testing.T) {
	t.Parallel()
	people, acme, partner := testpki.NewCA("people"), testpki.NewCA("acme"), testpki.NewCA("partner")
	for name, bundle := range map[string]certs{"beside its own": {partner.Cert, people.Cert}, "alone": {people.Cert}} {
		v := verifier(t, trust.Config{Anchors: certs{people.Cert}, TrustDomains: map[string][]*x509.Certificate{"acme.example": {acme.Cert}, "partner.example": bundle}})
		all := trustaccess.Warnings(v)
		if len(all) != 1 || !strings.Contains(all[0].What, "is one of Anchors too") || all[0].Hint == "" || !people.Cert.Equal(all[0].Anchor) {
			t.Errorf("%s: got %v, want one warning about the anchor", name, all)
		}
		expect(t, v, people.Leaf("alice").Presented(), "")
		expect(t, v, people.Leaf("shop", uris(t, "spiffe://partner.example/shop")).Presented(), reason.UnknownAuthority)
		expect(t, v, people.Leaf("orders", uris(t, "spiffe://acme.example/orders")).Presented(), reason.UnknownAuthority)
		expect(t, v, acme.Leaf("orders", uris(t, "spiffe://acme.example/orders")).Presented(), "")
		want := reason.UnknownAuthority
		if len(bundle) > 1 {
			want = ""
		}
		expect(t, v, partner.Leaf("shop", uris(t, "spiffe://partner.example/shop")).Presented(), want)
	}
}

// Bundles that bind nothing are rejected.
func TestWrongTrustDomainsAreRejected(t *testing.T) {
	t.Parallel()
	ca, leaf := testpki.NewCA("acme"), testpki.NewCA("other").Leaf("leaf")
	for name, c := range map[string]trust.Config{
		"has no anchors":          {TrustDomains: map[string][]*x509.Certificate{"acme.example": nil}},
		"is not a CA certificate": {TrustDomains: map[string][]*x509.Certificate{"acme.example": {ca.Cert, leaf.Cert}}},
		"is nil":                  {TrustDomains: map[string][]*x509.Certificate{"acme.example": {nil}}},
		"lower-case letters":      {TrustDomains: map[string][]*x509.Certificate{"ACME.example": {ca.Cert}}},
		"without a path":          {TrustDomains: map[string][]*x509.Certificate{"spiffe://acme.example": {ca.Cert}}},
		"1 to 255 characters":     {TrustDomains: map[string][]*x509.Certificate{"": {ca.Cert}}},
	} {
		v, err := trust.New(c)
		all := configerror.All(err)
		if v != nil || len(all) == 0 || !strings.Contains(all[0].What, name) {
			t.Errorf("%s: got %v, want an error with the name", name, err)
		}
	}
	if d := trust.TrustDomainIssuer("acme.example"); d.IsZero() || bytes.Equal(d[:], make([]byte, 32)) || d == trust.TrustDomainIssuer("acme") {
		t.Error("the issuer of a trust domain")
	}
}

// The authorities of all trust domains may have the same subject, as SPIRE's have by default. The CRL
// of one says nothing about the certificates of another, neither that they are good nor revoked.
// Covers B17.
func TestCRLOfAnotherTrustDomainDoesNotCount(t *testing.T) {
	t.Parallel()
	acme, partner := testpki.NewCA("SPIFFE"), testpki.NewCA("SPIFFE")
	leaf := acme.Leaf("orders", uris(t, "spiffe://acme.example/orders"))
	domains := map[string][]*x509.Certificate{"acme.example": {acme.Cert}, "partner.example": {partner.Cert}}
	of := func(lists ...*x509.RevocationList) trust.Config {
		return trust.Config{TrustDomains: domains, CRLs: lists}
	}
	serials := []*big.Int{leaf.Cert.SerialNumber}
	expect(t, verifier(t, of(partner.CRL(1, nil))), leaf.Presented(), reason.RevocationUnknown)
	expect(t, verifier(t, of(partner.CRL(1, serials), acme.CRL(1, nil))), leaf.Presented(), "")
	expect(t, verifier(t, of(partner.CRL(1, nil), acme.CRL(1, serials))), leaf.Presented(), reason.Revoked)
	// Within a trust domain they are one authority, as two anchors with one name are.
	both := map[string][]*x509.Certificate{"acme.example": {acme.Cert, partner.Cert}}
	expect(t, verifier(t, trust.Config{TrustDomains: both, CRLs: []*x509.RevocationList{partner.CRL(1, serials)}}), leaf.Presented(), reason.Revoked)
}
