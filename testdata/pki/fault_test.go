package pki_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha1" // the fault of one certificate
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// The faults that package trust accepts, and the limits of those that it refuses: the result
// of Verify alone would not show them.
func TestFaults(t *testing.T) {
	for name, has := range map[string]func(c *x509.Certificate) bool{
		"two-cns":       func(c *x509.Certificate) bool { return slices.Equal(cns(c), []string{"mallory", "alice"}) },
		"nul-cn":        cn("alice\x00.evil"),
		"newline-cn":    cn("alice\nuser=mallory"),
		"bidi-cn":       cn("\u202eecila"),
		"zero-width-cn": cn("ali\u200bce"),
		"bmp-cn": func(c *x509.Certificate) bool {
			return cn("alice")(c) && bytes.Contains(c.RawSubject, []byte("\x1e\x0a\x00a\x00l"))
		},
		"reserved-default": cn("Default"),
		"wildcard-dns":     func(c *x509.Certificate) bool { return slices.Equal(c.DNSNames, []string{"*.acme.example"}) },
		"two-uris":         func(c *x509.Certificate) bool { return len(c.URIs) == 2 },
		"exactly-100-sans": func(c *x509.Certificate) bool { return len(c.DNSNames) == 100 },
		"many-sans":        func(c *x509.Certificate) bool { return len(c.DNSNames) == 101 },
		"many-attributes":  func(c *x509.Certificate) bool { return len(c.Subject.Names) == 65 },
		"long-cn":          func(c *x509.Certificate) bool { return len(c.Subject.CommonName) == 257 },
		"huge-leaf":        func(c *x509.Certificate) bool { return len(c.Raw) > 16<<10 },
		"v1":               func(c *x509.Certificate) bool { return c.Version == 1 && len(c.Extensions) == 0 },
		"sha1":             func(c *x509.Certificate) bool { return c.SignatureAlgorithm == x509.ECDSAWithSHA1 },
		"critical-extension": func(c *x509.Certificate) bool {
			return slices.EqualFunc(c.UnhandledCriticalExtensions, []string{"2.999.1"}, func(id asn1.ObjectIdentifier, s string) bool { return id.String() == s })
		},
		"keycertsign-leaf": func(c *x509.Certificate) bool { return !c.IsCA && c.KeyUsage&x509.KeyUsageCertSign != 0 },
		"ca-as-leaf":       func(c *x509.Certificate) bool { return c.IsCA && c.ExtKeyUsage[0] == x509.ExtKeyUsageClientAuth },
	} {
		if c := certificates(t, name)[0]; !has(c) {
			t.Errorf("%s does not have its fault: %q", name, c.Subject)
		}
	}
}

// Every signature is by the issuer's key. Many certificates are refused before their signature
// is checked, and must be refused only for their fault.
func TestCertificatesAreSignedByTheirIssuer(t *testing.T) {
	for _, e := range entries(t) {
		c := certificates(t, e.Name)[0]
		if e.Issuer == "" {
			e.Issuer = e.Name
		}
		ca := certificates(t, e.Issuer)[0]
		if !bytes.Equal(c.RawIssuer, ca.RawSubject) {
			t.Errorf("%s does not have the name of its issuer", e.Name)
		}
		if e.Name == "sha1" { // crypto/x509 does not check this one
			digest := sha1.Sum(c.RawTBSCertificate) // the fault of this certificate
			if !ecdsa.VerifyASN1(ca.PublicKey.(*ecdsa.PublicKey), digest[:], c.Signature) {
				t.Error("sha1: the signature is invalid")
			}
			continue
		}
		if err := c.CheckSignatureFrom(ca); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
}

// With another time or profile the certificate is trusted: it has no other fault.
func TestCertificateHasOneFaultAlone(t *testing.T) {
	then := time.Date(2024, 1, 15, 0, 0, 0, 0, time.UTC)
	later := time.Date(2123, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]trust.Config{
		"expired":             {Now: func() time.Time { return then }},
		"leaf-of-expired-sub": {Now: func() time.Time { return then }},
		"not-yet-valid":       {Now: func() time.Time { return later }},
		"alice":               {Now: func() time.Time { return later }},
		"no-eku":              {Profile: trust.Compatible},
		"rsa8192":             {Profile: trust.Compatible},
	} {
		c.Anchors = certificates(t, "client-ca")
		v, err := trust.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(context.Background(), certificates(t, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The certificate untrusted has the names of alice.
func TestUntrustedHasTheNamesOfAlice(t *testing.T) {
	alice, untrusted := certificates(t, "alice")[0], certificates(t, "untrusted")[0]
	if !bytes.Equal(alice.RawSubject, untrusted.RawSubject) || !bytes.Equal(alice.RawIssuer, untrusted.RawIssuer) ||
		!bytes.Equal(alice.AuthorityKeyId, untrusted.AuthorityKeyId) || !slices.Equal(alice.EmailAddresses, untrusted.EmailAddresses) {
		t.Error("untrusted does not look like alice")
	}
}

// The subjects in pki.yaml are in the order of RFC 4514: the CN is the last RDN of the DER.
func TestSubjectsEndWithTheCommonName(t *testing.T) {
	var names pkix.RDNSequence
	if _, err := asn1.Unmarshal(certificates(t, "alice")[0].RawSubject, &names); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, set := range names {
		got = append(got, set[0].Value.(string))
	}
	if text := strings.Join(got, ","); text != "Acme,Staff,alice" {
		t.Errorf("subject of alice in the order of DER: %s, want Acme,Staff,alice", text)
	}
}

func cns(c *x509.Certificate) []string {
	var out []string
	for _, a := range c.Subject.Names {
		if a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			out = append(out, a.Value.(string))
		}
	}
	return out
}

func cn(want string) func(*x509.Certificate) bool {
	return func(c *x509.Certificate) bool { return slices.Equal(cns(c), []string{want}) }
}
