package trust_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/rand/v2"
	"slices"
	"testing"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Positions in a TBSCertificate that testpki makes.
const (
	certValidity   = 4
	certSubject    = 5
	certKey        = 6
	certExtensions = 7
)

// A certificate with a misplaced element is refused as a leaf, as an intermediate and as
// an anchor, although its CA signed it: crypto/x509 ignores some such elements, and other
// programs would read a different certificate.
//
// Covers V1.
func TestCertificateWithAnElementOutOfPlaceIsRefused(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub")
	stray := element(der.INTEGER, 1)
	value := func(inside *node, last byte) *node {
		for _, e := range inside.inner[certExtensions].inner[0].inner {
			if e.inner[0].content[2] == last {
				return e.inner[len(e.inner)-1]
			}
		}
		panic("no such extension")
	}
	add := func(n *node, more ...*node) { n.inner = append(n.inner, more...) }
	parsed := 0
	for name, change := range map[string]func(inside *node){
		"a third date":                    func(in *node) { add(in.inner[certValidity], in.inner[certValidity].inner[1].clone()) },
		"a stray in the validity":         func(in *node) { add(in.inner[certValidity], stray) },
		"a stray in the key":              func(in *node) { add(in.inner[certKey], stray) },
		"two parameters of the key":       func(in *node) { add(in.inner[certKey].inner[0], element(der.NULL)) },
		"two parameters of the signature": func(in *node) { add(in.inner[2], element(der.NULL), element(der.NULL)) },
		"an element after the extensions": func(in *node) { add(in, stray) },
		"extensions twice":                func(in *node) { add(in, in.inner[certExtensions].clone()) },
		"two Extensions in one [3]":       func(in *node) { add(in.inner[certExtensions], in.inner[certExtensions].inner[0].clone()) },
		"a stray before the extensions":   func(in *node) { in.inner = slices.Insert(in.inner, certExtensions, stray) },
		"a stray in an extension":         func(in *node) { add(in.inner[certExtensions].inner[0].inner[0], stray) },
		"a stray in the subject":          func(in *node) { add(in.inner[certSubject].inner[0].inner[0], stray) },
		"a stray after the key usage":     func(in *node) { add(value(in, 15), stray) },
		"a stray in the key identifier":   func(in *node) { add(value(in, 35).inner[0], stray) },
		"version 3 and a stray":           func(in *node) { add(in.inner[0], stray) },
		"a date with an offset":           func(in *node) { in.inner[certValidity].inner[0] = element(der.UTCTime, []byte("250102030405+0000")...) },
		"a date without seconds":          func(in *node) { in.inner[certValidity].inner[0] = element(der.UTCTime, []byte("2501020304Z")...) },
	} {
		for where, victim := range map[string]*testpki.Pair{"the leaf": sub.Leaf("alice"), "an intermediate": sub} {
			issuer := sub
			if victim == sub {
				issuer = ca
			}
			inside := readNodes(victim.Cert.RawTBSCertificate)[0]
			change(inside)
			c, err := x509.ParseCertificate(wrapped(t, inside.bytes(), issuer.Key))
			if err != nil {
				continue // crypto/x509 rejects it
			}
			parsed++
			presented := certs{c, sub.Cert}
			if victim == sub {
				presented = certs{sub.Leaf("alice").Cert, c}
				if _, err := trust.New(trust.Config{Anchors: certs{c}}); err == nil {
					t.Errorf("%s in an anchor: New accepts it", name)
				}
			}
			if _, err := trusting(t, ca.Cert).Verify(t.Context(), presented); reasonOf(t, err) == "" {
				t.Errorf("%s in %s: trusted", name, where)
			}
		}
	}
	if parsed == 0 {
		t.Error("crypto/x509 rejects all of them: this test checks nothing")
	}
	t.Logf("crypto/x509 reads %d of them", parsed)
}

// FuzzCertificateSyntax mutates a good leaf and signs it again. If the result is trusted, it
// checks the structure.
//
// Covers V1.
func FuzzCertificateSyntax(f *testing.F) {
	ca, _, _ := rich()
	v := trusting(f, ca.Cert)
	leaf := ca.Leaf("alice")
	f.Add(uint64(1), uint64(2), uint8(0))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) {
		r := rand.New(rand.NewPCG(a, b))
		inside := readNodes(leaf.Cert.RawTBSCertificate)[0]
		for range n%3 + 1 {
			inside.mutate(r)
		}
		c, err := x509.ParseCertificate(wrapped(t, inside.bytes(), ca.Key))
		if err != nil {
			return
		}
		if _, err := v.Verify(t.Context(), certs{c}); err != nil {
			return
		}
		all := readNodes(c.RawTBSCertificate)[0].inner
		if last := all[len(all)-1]; len(all) < 7 || len(all) > 10 || len(all[certValidity].inner) != 2 || len(all[certKey].inner) != 2 ||
			last.tag != der.Tag(3).Constructed().ContextSpecific() || len(last.inner) != 1 {
			t.Errorf("trusted: %x", c.Raw)
		}
	})
}

// crypto/x509 ignores elements after the name of a subtree. OpenSSL does not.
func TestNameConstraintsWithAStrayAreRefused(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}, Profile: trust.Compatible})
	if err != nil {
		t.Fatal(err)
	}
	name := []byte{0x82, 2, 'a', 'b'}
	subtree := func(inside ...byte) []byte { return append([]byte{0x30, byte(len(inside))}, inside...) }
	constraints := func(tag byte, trees []byte, behind ...byte) []byte {
		inside := append([]byte{tag, byte(len(trees))}, trees...)
		inside = append(inside, behind...)
		return append([]byte{0x30, byte(len(inside))}, inside...)
	}
	for what, row := range map[string]struct {
		value []byte
		good  bool
	}{
		"one name":                   {constraints(0xa0, subtree(name...)), true},
		"two subtrees":               {constraints(0xa1, append(subtree(name...), subtree(name...)...)), true},
		"two names in one":           {constraints(0xa0, subtree(append(slices.Clone(name), name...)...)), false},
		"an element after each name": {constraints(0xa0, subtree(append(slices.Clone(name), 0x80, 1, 0, 0x80, 1, 0)...)), false},
	} {
		with := func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Value: row.value})
		}
		for where, presented := range map[string][]*x509.Certificate{
			"the leaf": ca.Leaf("alice", with).Presented(), "an intermediate": ca.SubCA("Sub", with).Leaf("alice").Presented(),
		} {
			if _, err := v.Verify(t.Context(), presented); (err == nil) != row.good {
				t.Errorf("%s in %s: %v", what, where, err)
			}
		}
	}
}

// A distribution point names itself or the list's issuer (RFC 5280 section 4.2.1.13).
func TestEmptyDistributionPointIsRefused(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	for what, row := range map[string]struct {
		value []byte
		good  bool
	}{
		"a URI":        {[]byte{0x30, 11, 0x30, 9, 0xa0, 7, 0xa0, 5, 0x86, 3, 'x', ':', 'y'}, true},
		"empty":        {[]byte{0x30, 2, 0x30, 0}, false},
		"reasons only": {[]byte{0x30, 6, 0x30, 4, 0x81, 2, 1, 2}, false},
	} {
		leaf := ca.Leaf("alice", func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: row.value})
		})
		for _, profile := range []trust.Profile{trust.Strict, trust.Compatible} {
			v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}, Profile: profile})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), leaf.Presented()); (err == nil) != row.good {
				t.Errorf("%s, profile %d: %v", what, profile, err)
			}
		}
	}
}
