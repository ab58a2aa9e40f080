package trust_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// with returns an option that adds an extension of raw bytes.
func with(critical bool, value []byte, id ...int) testpki.Option {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
}

// policyList returns a certificatePolicies of one policy, with a qualifier if id is not nil.
func policyList(t testing.TB, id asn1.ObjectIdentifier) []byte {
	t.Helper()
	type qualifier struct {
		ID    asn1.ObjectIdentifier
		Value string `asn1:"ia5"`
	}
	type policy struct {
		ID         asn1.ObjectIdentifier
		Qualifiers []qualifier `asn1:"omitempty,optional"`
	}
	p := policy{ID: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 3}}
	if id != nil {
		p.Qualifiers = []qualifier{{id, "x"}}
	}
	return marshal(t, []policy{p})
}

// The strict profile refuses certificates that RFC 5280 forbids and crypto/x509 accepts.
//
// Covers B23.
func TestStrictProfileRefusesWhatRFC5280Forbids(t *testing.T) {
	t.Parallel()
	const bad, usage = reason.BadCertificate, reason.WrongUsage
	noBits := []byte{3, 1, 0}
	noUsage := func(c *x509.Certificate) { c.KeyUsage = 0 }
	noName := func(c *x509.Certificate) { c.Subject = pkix.Name{} }
	uri := func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "acme.example", Path: "/a"}} }
	anyUsage := func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageAny) }
	cps, notice, unknown := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 1}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 2}, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 4}
	ca := testpki.NewCA("Client CA")
	mute := testpki.NewCA("Mute CA", noUsage, with(true, noBits, 2, 5, 29, 15))
	sub := func(o ...testpki.Option) *testpki.Pair { return ca.SubCA("Sub", o...).Leaf("alice") }
	for _, x := range []struct {
		name               string
		anchor             *testpki.Pair
		who                *testpki.Pair
		strict, compatible reason.Reason
	}{
		{"key usage without a bit, leaf", ca, ca.Leaf("alice", noUsage, with(true, noBits, 2, 5, 29, 15)), usage, usage},
		{"key usage without a bit, not critical", ca, ca.Leaf("alice", noUsage, with(false, noBits, 2, 5, 29, 15)), usage, usage},
		{"key usage of zero bits, written", ca, ca.Leaf("alice", noUsage, with(true, []byte{3, 2, 0, 0}, 2, 5, 29, 15)), usage, usage},
		{"key usage without a bit, intermediate", ca, sub(noUsage, with(true, noBits, 2, 5, 29, 15)), bad, bad},
		{"key usage without a bit, anchor", mute, mute.Leaf("alice"), bad, bad},
		{"no key usage, intermediate", ca, sub(noUsage), "", ""},
		{"clientAuth and any", ca, ca.Leaf("alice", anyUsage), usage, ""},
		{"any and clientAuth", ca, ca.Leaf("alice", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny, x509.ExtKeyUsageClientAuth}
		}), usage, ""},
		{"any, intermediate", ca, sub(anyUsage), "", ""}, // it allows clientAuth, among others
		{"name constraints in a leaf", ca, ca.Leaf("alice", with(true, []byte{0x30, 0x08, 0xa0, 6, 0x30, 4, 0x82, 2, 'a', 'b'}, 2, 5, 29, 30)), bad, ""},
		{"name constraints in a leaf, not critical", ca, ca.Leaf("alice", with(false, []byte{0x30, 0x08, 0xa0, 6, 0x30, 4, 0x82, 2, 'a', 'b'}, 2, 5, 29, 30)), bad, ""},
		{"an empty subject and a SAN that is critical", ca, ca.Leaf("alice", noName, uri), "", ""},
		{"an empty subject and a SAN that is not critical", ca, ca.Leaf("alice", noName, with(false, marshal(t, []asn1.RawValue{{Class: 2, Tag: 2, Bytes: []byte("a.example")}}), 2, 5, 29, 17)), bad, ""},
		{"an empty subject and no SAN", ca, ca.Leaf("alice", noName), bad, ""},
		{"an intermediate with an empty subject", ca, sub(noName), bad, ""},
		{"an unknown qualifier, critical, intermediate", ca, sub(with(true, policyList(t, unknown), 2, 5, 29, 32)), bad, ""},
		{"an unknown qualifier, critical, leaf", ca, ca.Leaf("alice", with(true, policyList(t, unknown), 2, 5, 29, 32)), bad, ""},
		{"an unknown qualifier, not critical", ca, sub(with(false, policyList(t, unknown), 2, 5, 29, 32)), "", ""},
		{"a CPS, critical", ca, sub(with(true, policyList(t, cps), 2, 5, 29, 32)), "", ""},
		{"a notice, critical", ca, sub(with(true, policyList(t, notice), 2, 5, 29, 32)), "", ""},
		{"no qualifier, critical", ca, sub(with(true, policyList(t, nil), 2, 5, 29, 32)), "", ""},
	} {
		for profile, want := range map[trust.Profile]reason.Reason{trust.Strict: x.strict, trust.Compatible: x.compatible} {
			v := verifier(t, trust.Config{Anchors: certs{x.anchor.Cert}, Profile: profile})
			_, err := v.Verify(t.Context(), x.who.Presented())
			if got := reasonOf(t, err); got != want {
				t.Errorf("%s, profile %d: %q (%v), want %q", x.name, profile, got, err, want)
			}
		}
	}
	// The certificates of servers are verified alike.
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Usage: trust.UsageServer})
	expect(t, v, ca.Server(anyUsage).Presented(), usage)
	expect(t, v, ca.Server().Presented(), "")
}

// Covers B23.
func TestAnchorWithAnEmptySubjectIsForTheCompatibleProfile(t *testing.T) {
	t.Parallel()
	nameless := testpki.NewCA("", func(c *x509.Certificate) { c.Subject = pkix.Name{} })
	if _, err := trust.New(trust.Config{Anchors: certs{nameless.Cert}}); err == nil {
		t.Error("the strict profile accepts it")
	}
	v := verifier(t, trust.Config{Anchors: certs{nameless.Cert}, Profile: trust.Compatible})
	expect(t, v, nameless.Leaf("alice").Presented(), "")
}

// An authority whose key usage has no bit set must not sign a list.
//
// Covers B23.
func TestCRLOfAnAuthorityWhoseKeyUsageIsEmptyIsRefused(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("CA")
	mute := testpki.Make(nil, ca.Key, &x509.Certificate{Subject: ca.Cert.Subject, IsCA: true, BasicConstraintsValid: true, SubjectKeyId: ca.Cert.SubjectKeyId}, with(true, []byte{3, 1, 0}, 2, 5, 29, 15))
	if err := trustaccess.CheckCRL(ca.CRL(1, nil), certs{mute.Cert}, time.Now()); err == nil {
		t.Error("its list is accepted")
	}
}

// RFC 5280 requires a number in each CRL. A list without one is accepted: only the order of
// lists depends on the number, and thisUpdate replaces it there.
//
// Covers B23.
func TestCRLWithoutANumberIsOrderedByItsDate(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("CA")
	bad := ca.Leaf("bad")
	without := func(age time.Duration, serials ...*big.Int) *x509.RevocationList {
		list := ca.CRL(1, serials, from(time.Now().Add(-age)))
		read, err := trustaccess.ReadCRLs("x.crl", remadeList(t, ca, list, func(inside *node) {
			all := inside.inner[len(inside.inner)-1].inner[0]
			for i, e := range all.inner {
				if e.inner[len(e.inner)-1] == number(all) {
					all.inner = append(all.inner[:i:i], all.inner[i+1:]...)
					break
				}
			}
		}))
		if err != nil || read[0].List.Number != nil {
			t.Fatalf("got %v, want a CRL without a number", err)
		}
		return read[0].List
	}
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(without(time.Hour, bad.Cert.SerialNumber))})
	expect(t, v, bad.Presented(), reason.Revoked)
	expect(t, v, ca.Leaf("alice").Presented(), "")
	if trustaccess.CheckNotOlder(v, without(2*time.Hour)) == nil || trustaccess.CheckNotOlder(v, without(time.Minute)) != nil {
		t.Error("the date does not decide which list is newer")
	}
}
