package trust_test

import (
	"crypto/x509"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Covers B24.
func TestMaxDepthCountsIntermediates(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Root")
	one := ca.SubCA("One")
	two := one.SubCA("Two")
	three := two.SubCA("Three")
	issuers := []*testpki.Pair{ca, one, two, three}
	for most := range 5 {
		for _, profile := range []trust.Profile{trust.Strict, trust.Compatible} {
			v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, MaxDepth: most, Profile: profile})
			for depth, issuer := range issuers {
				want := reason.Reason("")
				if most > 0 && depth > most {
					want = reason.BadCertificate
				}
				expect(t, v, issuer.Leaf("alice").Presented(), want)
			}
		}
	}
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, MaxDepth: 1})
	// Certificates beside the chain do not count.
	expect(t, v, append(one.Leaf("alice").Presented(), two.Cert, three.Cert), "")
	// A self-issued intermediate counts.
	again := testpki.Make(one, one.Key, &x509.Certificate{
		Subject: one.Cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: one.Cert.SubjectKeyId,
	})
	self := testpki.Make(again, testpki.NewKey(), &x509.Certificate{Subject: two.Cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	expect(t, v, self.Leaf("alice").Presented(), reason.BadCertificate)
	// Only the chain that is short enough counts: here the one to an anchor further down.
	v = verifier(t, trust.Config{Anchors: certs{ca.Cert, two.Cert}, MaxDepth: 1})
	got := expect(t, v, three.Leaf("alice").Presented(), "")
	if len(got.Chains()) != 1 || trustaccess.IssuedUnder(got, trust.SPKIOf(ca.Cert)) {
		t.Errorf("%d chains; the long one counts: %t", len(got.Chains()), trustaccess.IssuedUnder(got, trust.SPKIOf(ca.Cert)))
	}
	// A pinned leaf has no intermediate.
	pinned := testpki.Make(nil, testpki.NewKey(), &x509.Certificate{
		Subject: one.Leaf("pinned").Cert.Subject, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	expect(t, verifier(t, trust.Config{Anchors: certs{pinned.Cert}, MaxDepth: 1}), pinned.Presented(), "")
	if _, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, MaxDepth: -1}); err == nil {
		t.Error("a negative depth is accepted")
	}
}
