package trust_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Covers A7.
func TestNoAnchorsDoNotMeanTheSystems(t *testing.T) {
	for name, anchors := range map[string]certs{"nil": nil, "empty": {}, "a nil in it": {nil}} {
		if v, err := trust.New(trust.Config{Anchors: anchors}); err == nil || v != nil {
			t.Errorf("%s: New returned a verifier", name)
		}
	}
}

func TestNewReportsEveryError(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	v1 := parsed(t, ca, ca, func(in *tbs) { in.Version, in.Extensions = 0, nil })
	_, err := trust.New(trust.Config{Anchors: certs{nil, v1[0]}, CRLs: []*x509.RevocationList{nil}, Revocation: 9, Profile: 9})
	if got := len(configerror.All(err)); got != 5 {
		t.Errorf("%d errors, want 5: %v", got, err)
	}
	if _, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, Revocation: trust.RevocationHard}); err == nil {
		t.Error("hard without CRLs was accepted")
	}
}

// expectation is the reason that a row expects under each profile.
type expectation struct{ strict, compatible reason.Reason }

func both(r reason.Reason) expectation { return expectation{r, r} }

// Every row is alice's certificate with one property changed.
// Covers B1, B2, B4, B7.
func TestLeafWithOneInvalidPropertyIsRefused(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	impostor := testpki.NewCA("Client CA") // the same name, another key
	now := time.Now()
	rsa2047, _ := rsa.GenerateKey(rand.Reader, 2047)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	unknownEKU := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}

	rows := []struct {
		name string
		leaf *testpki.Pair
		want expectation
	}{
		{"good", ca.Leaf("alice"), both("")},
		{"also for servers", ca.Leaf("alice", func(c *x509.Certificate) {
			c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}), both("")},
		{"clientAuth and any", ca.Leaf("alice", func(c *x509.Certificate) {
			c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageAny)
		}), expectation{reason.WrongUsage, ""}},
		{"Ed25519", ca.LeafWithKey("alice", ed), both("")},
		{"P-521", ca.LeafWithKey("alice", p521), both("")},
		{"RSA 2048", ca.LeafWithKey("alice", testkit.RSAKey(t, 2048)), both("")},
		{"no key usage", ca.Leaf("alice", func(c *x509.Certificate) { c.KeyUsage = 0 }), both("")},
		{"expires this second", ca.Leaf("alice", func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) }), both("")},

		{"issuer unknown", testpki.NewCA("Other CA").Leaf("alice"), both(reason.UnknownAuthority)},
		{"issuer has the anchor's name only", impostor.Leaf("alice"), both(reason.UnknownAuthority)},
		{"signed itself", testpki.Make(nil, testpki.NewKey(), &x509.Certificate{
			Subject: pkix.Name{CommonName: "alice"}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}), both(reason.UnknownAuthority)},
		{"another key and expired", impostor.Leaf("alice", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), both(reason.UnknownAuthority)},
		{"another key and no usage", impostor.Leaf("alice", func(c *x509.Certificate) { c.ExtKeyUsage = nil }), both(reason.UnknownAuthority)},

		{"B1 the anchor itself", ca, both(reason.NotALeaf)},
		{"B1 an authority", ca.SubCA("alice"), both(reason.NotALeaf)},
		{"B1 an authority for clients", ca.SubCA("alice", func(c *x509.Certificate) {
			c.KeyUsage |= x509.KeyUsageDigitalSignature
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), both(reason.NotALeaf)},
		{"B1 may sign certificates", ca.Leaf("alice", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }), both(reason.NotALeaf)},
		{"B1 may sign CRLs", ca.Leaf("alice", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign }), both(reason.NotALeaf)},

		{"B2 no usage", ca.Leaf("alice", func(c *x509.Certificate) { c.ExtKeyUsage = nil }), expectation{reason.WrongUsage, ""}},
		{"B2 any usage", ca.Leaf("alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), both(reason.WrongUsage)},
		{"B2 servers only", ca.Leaf("alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), both(reason.WrongUsage)},
		{"B2 an unknown usage only", ca.Leaf("alice", func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{unknownEKU}
		}), both(reason.WrongUsage)},
		{"B2 an empty list of usages", ca.Leaf("alice", func(c *x509.Certificate) {
			c.ExtKeyUsage = nil
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 0}}}
		}), both(reason.WrongUsage)},
		{"key encipherment only", ca.Leaf("alice", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), expectation{reason.WrongUsage, ""}},

		{"B4 RSA 1024", ca.LeafWithKey("alice", testkit.RSAKey(t, 1024)), both(reason.WeakKey)},
		{"B4 RSA 2047", ca.LeafWithKey("alice", rsa2047), both(reason.WeakKey)},
		{"B4 P-224", ca.LeafWithKey("alice", p224), both(reason.WeakKey)},

		{"B7 expired", ca.Leaf("alice", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), both(reason.Expired)},
		{"B7 not yet valid", ca.Leaf("alice", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }), both(reason.NotYetValid)},

		{"B18 critical extension", ca.Leaf("alice", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: unknownEKU, Critical: true, Value: []byte{5, 0}}}
		}), both(reason.BadCertificate)},

		{"B12 101 names", ca.Leaf("alice", names(101)), both(reason.TooLarge)},
		{"B12 100 names", ca.Leaf("alice", names(100)), both("")},
		{"B12 65 attributes", ca.Leaf("alice", attributes(65, "x")), both(reason.TooLarge)},
		{"B12 64 attributes", ca.Leaf("alice", attributes(64, "x")), both("")},
		{"B12 a value of 257 bytes", ca.Leaf(strings.Repeat("x", 257)), both(reason.TooLarge)},
		{"B12 a value of 256 bytes", ca.Leaf(strings.Repeat("x", 256)), both("")},
		{"B12 101 names under another key", impostor.Leaf("alice", names(101)), both(reason.TooLarge)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for _, p := range []struct {
				profile trust.Profile
				want    reason.Reason
			}{{trust.Strict, row.want.strict}, {trust.Compatible, row.want.compatible}} {
				v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Profile: p.profile})
				for range 2 { // the cached result is the same
					expect(t, v, row.leaf.Presented(), p.want)
				}
			}
		})
	}
}

func names(n int) testpki.Option {
	return func(c *x509.Certificate) {
		for i := range n {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.example", i))
		}
	}
}

func attributes(n int, value string) testpki.Option {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{}
		for range n {
			c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: value})
		}
	}
}

// The files of testdata/pki: certificates that testpki cannot make, under both profiles.
// Covers B4, B5, B6, B13.
func TestHostileCertificatesOfTestdataAreRefused(t *testing.T) {
	anchor := file(t, "client-ca")[0]
	rows := map[string]expectation{
		"alice":                   both(""),
		"carol":                   both(""),
		"rsa8192":                 {reason.WeakKey, ""},
		"sha1":                    both(reason.WeakKey),
		"v1":                      both(reason.BadCertificate),
		"huge-leaf":               both(reason.TooLarge),
		"untrusted":               both(reason.UnknownAuthority),
		"leaf-of-expired-sub":     both(reason.Expired),
		"leaf-of-server-only-sub": both(reason.WrongUsage),
		"no-eku":                  {reason.WrongUsage, ""},
	}
	for name, want := range rows {
		expect(t, verifier(t, trust.Config{Anchors: certs{anchor}}), file(t, name), want.strict)
		expect(t, verifier(t, trust.Config{Anchors: certs{anchor}, Profile: trust.Compatible}), file(t, name), want.compatible)
	}
}

// Covers B3, B6, B7, B9.
func TestIntermediateWithOneInvalidPropertyIsRefused(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	now := time.Now()
	smallRSA, bigRSA := testkit.RSAKey(t, 1024), testkit.RSAKey(t, 2048)
	authority := func(key *rsa.PrivateKey) *testpki.Pair {
		return testpki.Make(ca, key, &x509.Certificate{
			Subject: pkix.Name{CommonName: "Sub"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		})
	}
	rows := []struct {
		name string
		sub  *testpki.Pair
		want reason.Reason
	}{
		{"good", ca.SubCA("Sub"), ""},
		{"RSA 2048", authority(bigRSA), ""},
		{"B4 RSA 1024", authority(smallRSA), reason.WeakKey},
		{"B3 for servers only", ca.SubCA("Sub", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), reason.WrongUsage},
		{"B3 for clients", ca.SubCA("Sub", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), ""},
		{"B7 expired", ca.SubCA("Sub", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), reason.Expired},
		{"B7 not yet valid", ca.SubCA("Sub", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }), reason.NotYetValid},
		{"no authority", ca.Leaf("Sub"), reason.BadCertificate},
		{"an authority that must not sign", ca.SubCA("Sub", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), reason.BadCertificate},
		{"B9 a name that is not permitted", ca.SubCA("Sub", func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"acme.example"} }), reason.BadCertificate},
		{"critical extension", ca.SubCA("Sub", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
		}), reason.BadCertificate},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			leaf := row.sub.Leaf("alice", func(c *x509.Certificate) { c.DNSNames = []string{"elsewhere.example"} })
			expect(t, trusting(t, ca.Cert), leaf.Presented(), row.want)
		})
	}

	t.Run("path length", func(t *testing.T) {
		short := ca.SubCA("Short", func(c *x509.Certificate) { c.MaxPathLenZero = true })
		expect(t, trusting(t, ca.Cert), short.Leaf("alice").Presented(), "")
		expect(t, trusting(t, ca.Cert), short.SubCA("Below").Leaf("alice").Presented(), reason.BadCertificate)
	})
	t.Run("B6 version 1", func(t *testing.T) {
		sub := ca.SubCA("Sub")
		v1 := parsed(t, ca, sub, func(in *tbs) { in.Version, in.Extensions = 0, nil })
		expect(t, trusting(t, ca.Cert), certs{sub.Leaf("alice").Cert, v1[0]}, reason.BadCertificate)
	})
	t.Run("not sent", func(t *testing.T) {
		expect(t, trusting(t, ca.Cert), ca.SubCA("Sub").Leaf("alice").Presented()[:1], reason.UnknownAuthority)
	})
	t.Run("a leaf that signs", func(t *testing.T) {
		middle := ca.Leaf("mallory")
		forged := middle.Leaf("alice")
		expect(t, trusting(t, ca.Cert), certs{forged.Cert, middle.Cert}, reason.BadCertificate)
	})
}

// Covers B7.
func TestDatesOfTheAnchorCount(t *testing.T) {
	old := testpki.NewCA("Old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	v := trusting(t, old.Cert)
	expect(t, v, old.Leaf("alice").Presented(), reason.Expired)
}

// Covers B6.
func TestVersionOneAnchorIsRejected(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	v1 := parsed(t, ca, ca, func(in *tbs) { in.Version, in.Extensions = 0, nil })
	if _, err := trust.New(trust.Config{Anchors: v1}); err == nil {
		t.Error("an anchor of version 1 was accepted")
	}
}

// Covers B10.
func TestHostileNamesUnderNameConstraintsAreRefused(t *testing.T) {
	ca := testpki.NewCA("Client CA", func(c *x509.Certificate) {
		c.PermittedDNSDomains = []string{"acme.example"}
		c.ExcludedEmailAddresses = []string{"evil.example"}
	})
	for _, row := range []struct {
		name string
		with testpki.Option
		want reason.Reason
	}{
		{"permitted", func(c *x509.Certificate) { c.DNSNames = []string{"a.acme.example"} }, ""},
		{"wildcard", func(c *x509.Certificate) { c.DNSNames = []string{"*.elsewhere.example"} }, reason.BadCertificate},
		{"case", func(c *x509.Certificate) { c.DNSNames = []string{"A.ACME.example"} }, ""},
		{"excluded in another case", func(c *x509.Certificate) { c.EmailAddresses = []string{"a@EVIL.example"} }, reason.BadCertificate},
	} {
		t.Run(row.name, func(t *testing.T) {
			expect(t, trusting(t, ca.Cert), ca.Leaf("alice", row.with).Presented(), row.want)
		})
	}
	t.Run("an empty name does not panic", func(t *testing.T) {
		leaf := ca.Leaf("alice", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: []byte{0x30, 2, 0x82, 0}}}
		})
		if _, err := trusting(t, ca.Cert).Verify(context.Background(), leaf.Presented()); err == nil {
			t.Error("trusted")
		}
	})
}

// Covers B11.
func TestManyAuthoritiesOfOneNameAreCheap(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	// Ten authorities of one name that have signed one another, and a leaf that none of them
	// signed.
	key := testpki.NewKey()
	shell := func(issuer *testpki.Pair) *testpki.Pair {
		return testpki.Make(issuer, key, &x509.Certificate{
			Subject: pkix.Name{CommonName: "Loop"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		})
	}
	first := shell(nil)
	presented := certs{first.Leaf("alice").Cert}
	for len(presented) < 10 {
		presented = append(presented, shell(first).Cert)
	}
	d := testkit.ProcessorTime(t, func() { expect(t, trusting(t, ca.Cert), presented, reason.UnknownAuthority) })
	if d > 2*time.Second { // some 10 ms without -race
		t.Errorf("refusing took %v", d)
	}
	// The same authorities with a path to the anchor: the leaf is trusted, and soon.
	presented[9] = shell(ca).Cert
	d = testkit.ProcessorTime(t, func() { expect(t, trusting(t, ca.Cert), presented, "") })
	if d > 2*time.Second {
		t.Errorf("trusting took %v", d)
	}
}

// A key as large as its certificate: each signature by it would cost a tenth of a second.
// Covers B4, B11.
func TestHugeAuthorityKeyIsNotTried(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub")
	modulus := new(big.Int).Lsh(big.NewInt(1), 100_000)
	modulus.Add(modulus, big.NewInt(1))
	spki := marshal(t, struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue},
		bits(marshal(t, struct {
			N *big.Int
			E int
		}{modulus, 1<<31 - 1})),
	})
	huge := parsed(t, sub, sub, func(in *tbs) { in.PublicKey = asn1.RawValue{FullBytes: spki} })
	presented := certs{testpki.NewCA("Sub").Leaf("alice").Cert, huge[0]}
	expect(t, trusting(t, ca.Cert), presented, reason.TooLarge)
}

func bits(b []byte) asn1.BitString { return asn1.BitString{Bytes: b, BitLength: 8 * len(b)} }

// Covers B12.
func TestTooManyPresentedCertificatesAreRefused(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	v := trusting(t, ca.Cert)
	leaf := ca.Leaf("alice").Cert
	expect(t, v, slices.Repeat(certs{leaf}, 11), reason.TooLarge)
	expect(t, v, slices.Repeat(certs{leaf}, 10), "")
	expect(t, v, nil, reason.NoCertificate)
	expect(t, v, certs{nil}, reason.BadCertificate)
	expect(t, v, certs{leaf, nil}, reason.BadCertificate)
	large := ca.SubCA("Large", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: make([]byte, 16<<10)}}
	})
	expect(t, v, certs{leaf, large.Cert}, reason.TooLarge)
}

// Covers B12.
func TestTooManyNamesAreRefused(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	many := ca.Leaf("alice", names(60_000)).Presented()
	d := testkit.ProcessorTime(t, func() { expect(t, trusting(t, ca.Cert), many, reason.TooLarge) })
	if d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	// Names of a type that crypto/x509 ignores count as well.
	other := make([]byte, 0, 202)
	for range 101 {
		other = append(other, 0x88, 1, 0x2a) // registeredID
	}
	der := marshal(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: other})
	leaf := ca.Leaf("alice", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}}
	})
	expect(t, trusting(t, ca.Cert), leaf.Presented(), reason.TooLarge)
}

// Covers B13.
func TestDSALeafIsRefused(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	one := big.NewInt(7)
	spki := marshal(t, struct {
		Algorithm struct {
			ID     asn1.ObjectIdentifier
			Params struct{ P, Q, G *big.Int }
		}
		Key asn1.BitString
	}{
		struct {
			ID     asn1.ObjectIdentifier
			Params struct{ P, Q, G *big.Int }
		}{asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, struct{ P, Q, G *big.Int }{one, one, one}},
		bits(marshal(t, one)),
	})
	leaf := parsed(t, ca, ca.Leaf("alice"), func(in *tbs) { in.PublicKey = asn1.RawValue{FullBytes: spki} })
	if leaf[0].PublicKeyAlgorithm != x509.DSA {
		t.Fatalf("made %v", leaf[0].PublicKeyAlgorithm)
	}
	expect(t, trusting(t, ca.Cert), leaf, reason.WeakKey)
	// A key of an unknown type is refused as well.
	leaf = parsed(t, ca, ca.Leaf("alice"), func(in *tbs) {
		in.PublicKey = asn1.RawValue{FullBytes: marshal(t, struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 3, 4}}, bits([]byte{1})})}
	})
	expect(t, trusting(t, ca.Cert), leaf, reason.WeakKey)
}

// Covers B13.
func TestUnparsedCertificateIsRefused(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	v := trusting(t, ca.Cert)
	alice := ca.Leaf("alice")
	v.Verify(context.Background(), alice.Presented())
	if _, err := v.Verify(context.Background(), certs{{}}); err == nil {
		t.Error("an empty certificate is trusted")
	}
	// Trusted bytes with other parsed fields are refused.
	fake := &x509.Certificate{Raw: alice.Cert.Raw, Subject: pkix.Name{CommonName: "root"}}
	if got, err := v.Verify(context.Background(), certs{fake}); err == nil && got.Leaf().Subject.CommonName != "alice" {
		t.Error("the fields of a fake are trusted")
	}
}

// Covers B14.
func TestPinnedLeafIsComparedAsAWhole(t *testing.T) {
	self := func(key *testpki.Pair) *testpki.Pair {
		return testpki.Make(nil, key.Key, &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "pinned"}, SubjectKeyId: []byte{1, 2, 3},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
	}
	pinned := self(&testpki.Pair{Key: testpki.NewKey()})
	v := trusting(t, pinned.Cert)
	got := expect(t, v, pinned.Presented(), "")
	if len(trustaccess.IssuerKeys(got)) != 0 || trustaccess.IssuedBy(got, got.SPKI()) || len(got.Chains()) != 1 || len(got.Chains()[0]) != 1 || !got.Chains()[0][0].Equal(pinned.Cert) {
		t.Errorf("a pinned leaf has issuers %v and chains %v", trustaccess.IssuerKeys(got), got.Chains())
	}
	expect(t, v, self(&testpki.Pair{Key: testpki.NewKey()}).Presented(), reason.UnknownAuthority) // same fields, other key
	if again := self(pinned); !again.Cert.Equal(pinned.Cert) {
		expect(t, v, again.Presented(), reason.BadCertificate) // same key, other certificate: signed by a certificate that must not sign
	}
	expect(t, v, pinned.Leaf("below").Presented(), reason.BadCertificate) // a pinned leaf is not an authority
}

// Covers B15.
func TestPinnedLeafIsCheckedLikeOthers(t *testing.T) {
	now := time.Now()
	ca := testpki.NewCA("Unknown CA")
	for _, row := range []struct {
		name string
		leaf *testpki.Pair
		want reason.Reason
	}{
		{"good, issuer not an anchor", ca.Leaf("alice"), ""},
		{"expired", ca.Leaf("alice", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), reason.Expired},
		{"for servers", ca.Leaf("alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), reason.WrongUsage},
		{"may sign", ca.Leaf("alice", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }), reason.NotALeaf},
		{"large", ca.Leaf("alice", names(101)), reason.TooLarge},
	} {
		t.Run(row.name, func(t *testing.T) { expect(t, trusting(t, row.leaf.Cert), row.leaf.Presented(), row.want) })
	}
}

// Covers B18.
func TestMalformedCertificatesAreRefused(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	alice := ca.Leaf("alice")
	t.Run("signature changed", func(t *testing.T) {
		der := slices.Clone(alice.Cert.Raw)
		der[len(der)-1] ^= 1
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, trusting(t, ca.Cert), certs{c}, reason.UnknownAuthority)
	})
	for name, der := range map[string][]byte{
		"trailing bytes":  append(slices.Clone(alice.Cert.Raw), 0),
		"negative serial": remade(t, ca, alice, func(in *tbs) { in.Serial = big.NewInt(-5) }),
		"algorithms differ": sign(t, ca, insideOf(t, alice), pkix.AlgorithmIdentifier{
			Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3},
		}),
	} {
		if c, err := x509.ParseCertificate(der); err == nil {
			_, err = trusting(t, ca.Cert).Verify(context.Background(), certs{c})
			if err == nil {
				t.Errorf("%s: trusted", name)
			}
		}
	}
}

func insideOf(t *testing.T, p *testpki.Pair) tbs {
	var in tbs
	if _, err := asn1.Unmarshal(p.Cert.RawTBSCertificate, &in); err != nil {
		t.Fatal(err)
	}
	return in
}

// Covers B20.
func TestOnlyTheFirstCertificateIsTheLeaf(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	mine, victim := ca.Leaf("mine"), ca.Leaf("victim")
	v := trusting(t, ca.Cert)
	if got := expect(t, v, certs{mine.Cert, victim.Cert}, ""); !got.Leaf().Equal(mine.Cert) || got.Fingerprint() != trust.FingerprintOf(mine.Cert) {
		t.Errorf("the leaf is %v", got.Leaf().Subject)
	}
	expect(t, v, certs{testpki.NewCA("x").Leaf("mine").Cert, victim.Cert}, reason.UnknownAuthority)
	expect(t, v, certs{ca.Cert, victim.Cert}, reason.NotALeaf)
}

// Covers B21.
func TestExtraAndUnorderedCertificatesChangeNothing(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	low := ca.SubCA("Upper").SubCA("Lower")
	alice := low.Leaf("alice")
	p := alice.Presented() // alice, Lower, Upper
	v := trusting(t, ca.Cert)
	for name, presented := range map[string]certs{
		"in order":       p,
		"turned":         {p[0], p[2], p[1]},
		"twice":          {p[0], p[1], p[1], p[2], p[0]},
		"with a foreign": {p[0], testpki.NewCA("x").Cert, p[1], p[2]},
		"with the root":  {p[0], p[1], p[2], ca.Cert},
	} {
		t.Run(name, func(t *testing.T) {
			got := expect(t, v, presented, "")
			want := []trust.Digest{trust.SPKIOf(p[1]), trust.SPKIOf(p[2]), trust.SPKIOf(ca.Cert)}
			if !slices.Equal(trustaccess.IssuerKeys(got), want) || !trustaccess.IssuedBy(got, want[0]) || trustaccess.IssuedBy(got, want[1]) || !trustaccess.IssuedUnder(got, want[2]) {
				t.Errorf("issuers %v, want %v", trustaccess.IssuerKeys(got), want)
			}
		})
	}
}

// One authority, certified by A and by B: with B alone, A is not in the result.
// Covers A4.
func TestCrossSignedLeafLosesTheRemovedAnchor(t *testing.T) {
	a, b := testpki.NewCA("A"), testpki.NewCA("B")
	byA := a.SubCA("Issuing")
	byB := testpki.Make(b, byA.Key, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Issuing"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		SubjectKeyId: byA.Cert.SubjectKeyId,
	})
	presented := certs{byA.Leaf("alice").Cert, byA.Cert, byB.Cert}
	keyA, keyB := trust.SPKIOf(a.Cert), trust.SPKIOf(b.Cert)

	both, one := trusting(t, a.Cert, b.Cert), trusting(t, b.Cert)
	before := expect(t, both, presented, "")
	if !trustaccess.IssuedUnder(before, keyA) || !trustaccess.IssuedUnder(before, keyB) || len(before.Chains()) != 2 {
		t.Fatalf("%d chains, issuers %v", len(before.Chains()), trustaccess.IssuerKeys(before))
	}
	after := expect(t, one, presented, "")
	if trustaccess.IssuedUnder(after, keyA) || !trustaccess.IssuedUnder(after, keyB) || len(after.Chains()) != 1 {
		t.Errorf("A is still among the issuers: %v", trustaccess.IssuerKeys(after))
	}
	if !trustaccess.IsCurrent(both, before) || trustaccess.IsCurrent(one, before) || trustaccess.IsCurrent(both, after) || trustaccess.IsFrom(one, trust.Verified{}) {
		t.Error("a result counts for another verifier than its own")
	}
}

func TestVerifyAnswersToTheContext(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := trusting(t, ca.Cert).Verify(ctx, ca.Leaf("alice").Presented())
	if reasonOf(t, err) != reason.Timeout {
		t.Errorf("got %v", err)
	}
}

// Covers H11.
func TestRefusalDetailsAreShortAndEscaped(t *testing.T) {
	evil := testpki.NewCA("evil\n\x1b[31m\u202e" + strings.Repeat("x", 5000))
	_, err := trusting(t, testpki.NewCA("Client CA").Cert).Verify(context.Background(), evil.Leaf("alice").Presented())
	text := err.Error()
	if len(text) > 1024 || strings.ContainsAny(text, "\n\x1b\u202e") {
		t.Errorf("detail of %d bytes: %q", len(text), text[:min(len(text), 300)])
	}
}
