package trust_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
	"github.com/mtlsguard/mtlsguard/trust"
)

type certs = []*x509.Certificate

func verifier(t testing.TB, c trust.Config) *trust.Verifier {
	t.Helper()
	v, err := trust.New(c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return v
}

// trusting returns a verifier with these anchors and defaults for the rest.
func trusting(t testing.TB, anchors ...*x509.Certificate) *trust.Verifier {
	t.Helper()
	return verifier(t, trust.Config{Anchors: anchors})
}

// reasonOf returns the reason of a refusal, or "" for no error.
func reasonOf(t testing.TB, err error) reason.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	refusal, ok := errors.AsType[*reason.Refusal](err)
	if !ok {
		t.Fatalf("the error is %T, not a *reason.Refusal: %v", err, err)
	}
	if !refusal.Reason.Known() {
		t.Fatalf("%q is not a reason of package reason", refusal.Reason)
	}
	return refusal.Reason
}

// expect verifies presented, and fails unless the reason of the refusal is want. "" means
// trusted.
func expect(t testing.TB, v *trust.Verifier, presented certs, want reason.Reason) trust.Verified {
	t.Helper()
	got, err := v.Verify(context.Background(), presented)
	if w := reasonOf(t, err); w != want {
		t.Fatalf("got %q (%v), want %q", w, err, want)
	}
	if got.IsZero() != (want != "") {
		t.Fatalf("IsZero is %v for %q", got.IsZero(), want)
	}
	return got
}

// file reads the certificates of a file of testdata/pki.
func file(t testing.TB, name string) certs {
	t.Helper()
	data, err := pki.Files.ReadFile(name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	list, err := trust.ReadCertificates(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func crlFile(t testing.TB, name string) *x509.RevocationList {
	t.Helper()
	data, err := pki.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	list, err := trustaccess.ReadCRLs(name, data)
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %d lists, %v", name, len(list), err)
	}
	return list[0].List
}

// clock is a clock that stands still until a test sets it.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// tbs is a TBSCertificate with fields that crypto/x509 does not let a caller set.
type tbs struct {
	Version    int `asn1:"optional,explicit,default:0,tag:0"`
	Serial     *big.Int
	Algorithm  pkix.AlgorithmIdentifier
	Issuer     asn1.RawValue
	Validity   asn1.RawValue
	Subject    asn1.RawValue
	PublicKey  asn1.RawValue
	Extensions []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
}

type signed struct {
	Inside    asn1.RawValue
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

// remade returns the DER of p's certificate, changed and signed again by issuer.
func remade(t testing.TB, issuer, p *testpki.Pair, change func(*tbs)) []byte {
	t.Helper()
	var inside tbs
	if _, err := asn1.Unmarshal(p.Cert.RawTBSCertificate, &inside); err != nil {
		t.Fatal(err)
	}
	change(&inside)
	return sign(t, issuer, inside, inside.Algorithm)
}

// sign returns the DER of a certificate: inside, signed by issuer with ECDSA and SHA-256.
func sign(t testing.TB, issuer *testpki.Pair, inside any, algorithm pkix.AlgorithmIdentifier) []byte {
	t.Helper()
	der, err := asn1.Marshal(inside)
	if err != nil {
		t.Fatal(err)
	}
	sig := signatureOf(t, issuer, der)
	out, err := asn1.Marshal(signed{asn1.RawValue{FullBytes: der}, algorithm, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// parsed returns the certificate of remade.
func parsed(t testing.TB, issuer, p *testpki.Pair, change func(*tbs)) certs {
	t.Helper()
	c, err := x509.ParseCertificate(remade(t, issuer, p, change))
	if err != nil {
		t.Fatal(err)
	}
	return certs{c}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// signatureOf returns issuer's signature of data with ECDSA and SHA-256.
func signatureOf(t testing.TB, issuer *testpki.Pair, data []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(data)
	sig, err := issuer.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// warningsOf returns the texts of a verifier's warnings.
func warningsOf(v *trust.Verifier) []string {
	var out []string
	for _, w := range trustaccess.Warnings(v) {
		out = append(out, w.What+" ("+w.Hint+")")
	}
	return out
}
