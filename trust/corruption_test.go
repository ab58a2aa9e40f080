package trust_test

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// rich returns a leaf with every common extension, below a constrained authority.
func rich() (ca, sub, leaf *testpki.Pair) {
	ca = testpki.NewCA("Client CA")
	sub = ca.SubCA("Sub", func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedEmailAddresses = []string{"acme.example"}, []string{"acme.example"}
		c.ExcludedURIDomains, c.ExcludedIPRanges = []string{"evil.example"}, []*net.IPNet{network("10.0.0.0/8")}
	})
	leaf = sub.Leaf("alice", func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"a.acme.example"}, []string{"a@acme.example"}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "acme.example", Path: "/a"}}
		c.IPAddresses = []net.IP{{192, 0, 2, 1}, net.ParseIP("2001:db8::1")}
		c.CRLDistributionPoints = []string{"http://crl.acme.example/"}
		c.OCSPServer = []string{"http://ocsp.acme.example/"}
	})
	return ca, sub, leaf
}

// verifyWithoutPanic runs Verify and fails on a panic inside it, which Verify itself turns
// into a refusal.
func verifyWithoutPanic(t *testing.T, v *trust.Verifier, presented certs, what string, i int) (trust.Verified, bool) {
	t.Helper()
	got, err := v.Verify(context.Background(), presented)
	if err == nil {
		return got, true
	}
	reasonOf(t, err)
	if strings.Contains(err.Error(), "panicked") {
		t.Errorf("%s, byte %d: the verifier panicked", what, i)
	}
	return got, false
}

// A certificate with any one byte changed is never trusted.
// Covers B13, B18.
func TestCertificateWithOneChangedByteIsRefused(t *testing.T) {
	t.Parallel()
	ca, sub, leaf := rich()
	v := trusting(t, ca.Cert)
	expect(t, v, leaf.Presented(), "")
	parsed := 0
	for _, victim := range []*testpki.Pair{leaf, sub} {
		for i := range victim.Cert.Raw {
			for _, flip := range []byte{0x01, 0x80} {
				der := slices.Clone(victim.Cert.Raw)
				der[i] ^= flip
				c, err := x509.ParseCertificate(der)
				if err != nil {
					continue // not parsed: the handshake fails
				}
				parsed++
				presented := certs{c, sub.Cert}
				if victim == sub {
					presented = certs{leaf.Cert, c}
				}
				if _, ok := verifyWithoutPanic(t, v, presented, "flipped", i); ok {
					t.Errorf("byte %d of %v changed by %#x: trusted", i, victim.Cert.Subject, flip)
				}
			}
		}
	}
	if parsed < 200 {
		t.Errorf("only %d were parsed: this test checks little", parsed)
	}
}

// The same changes, but signed by the authority: a certificate that is trusted fulfils all
// requirements, and nothing panics.
// Covers B13.
func TestSignedDamageIsHandledCorrectly(t *testing.T) {
	t.Parallel()
	ca, sub, leaf := rich()
	v := trusting(t, ca.Cert)
	compatible := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Profile: trust.Compatible})
	var outer signed
	if _, err := asn1.Unmarshal(leaf.Cert.Raw, &outer); err != nil {
		t.Fatal(err)
	}
	trusted, refused := 0, 0
	for _, victim := range []*testpki.Pair{leaf, sub} {
		signer := sub
		if victim == sub {
			signer = ca
		}
		inside := victim.Cert.RawTBSCertificate
		for i := range inside {
			der := slices.Clone(inside)
			der[i] ^= 1 << (i % 8)
			c, err := x509.ParseCertificate(sign(t, signer, asn1.RawValue{FullBytes: der}, outer.Algorithm))
			if err != nil {
				continue
			}
			presented := certs{c, sub.Cert}
			if victim == sub {
				presented = certs{leaf.Cert, c}
			}
			for _, by := range []*trust.Verifier{v, compatible} {
				got, ok := verifyWithoutPanic(t, by, presented, "signed", i)
				if !ok {
					refused++
					continue
				}
				trusted++
				checkVerified(t, got, presented, ca.Cert, trustaccess.Now(by))
			}
		}
	}
	if trusted == 0 || refused == 0 {
		t.Errorf("%d trusted, %d refused: this test checks nothing", trusted, refused)
	}
}

// A panic of a plug-in refuses the certificate, and the next one is verified as usual.
// Covers H14, B13.
func TestPanicOfAPlugInIsARefusal(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	alice := ca.Leaf("alice").Presented()
	broken := false
	clock := func() time.Time {
		if broken {
			panic("the clock")
		}
		return time.Now()
	}
	byClock := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Now: clock})
	byResponder := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Responder: panicking{}})
	expect(t, byResponder, alice, reason.BadCertificate)
	for range 2 { // a cached result must not be returned before the clock is read
		broken = false
		expect(t, byClock, alice, "")
		broken = true
		expect(t, byClock, alice, reason.BadCertificate)
	}
}

type panicking struct{}

func (panicking) Status(context.Context, *x509.Certificate, *x509.Certificate) (trust.Status, time.Time, error) {
	panic("the responder")
}

// A certificate whose fields crypto/x509 has not filled in does not panic.
// Covers B13.
func TestCertificateWithEmptyFieldsDoesNotPanic(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	alice := ca.Leaf("alice")
	for name, clearField := range map[string]func(*x509.Certificate){
		"no key":       func(c *x509.Certificate) { c.PublicKey = nil },
		"no serial":    func(c *x509.Certificate) { c.SerialNumber = nil },
		"no signature": func(c *x509.Certificate) { c.Signature = nil },
		"no TBS":       func(c *x509.Certificate) { c.RawTBSCertificate = nil },
		"negative":     func(c *x509.Certificate) { c.SerialNumber = big.NewInt(-1) },
		"no subject":   func(c *x509.Certificate) { c.RawSubject, c.RawIssuer = nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			list := ca.CRL(1, []*big.Int{big.NewInt(1)})
			v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(list)})
			c := *alice.Cert
			clearField(&c)
			got, err := v.Verify(context.Background(), certs{&c})
			if reasonOf(t, err) == "" && !got.Leaf().Equal(&c) {
				t.Error("another certificate is trusted")
			}
		})
	}
}
