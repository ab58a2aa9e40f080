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
	"os"
	"os/exec"
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

// trusting is a verifier with these anchors and nothing else.
func trusting(t testing.TB, anchors ...*x509.Certificate) *trust.Verifier {
	t.Helper()
	return verifier(t, trust.Config{Anchors: anchors})
}

// word is the reason of a refusal, or "" where there was none.
func word(t testing.TB, err error) reason.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	refusal, ok := errors.AsType[*reason.Refusal](err)
	if !ok {
		t.Fatalf("the error is %T, not a *reason.Refusal: %v", err, err)
	}
	if !refusal.Reason.Known() {
		t.Fatalf("%q is no word of the list", refusal.Reason)
	}
	return refusal.Reason
}

// expect verifies and wants the given word; "" is believed.
func expect(t testing.TB, v *trust.Verifier, presented certs, want reason.Reason) trust.Verified {
	t.Helper()
	got, err := v.Verify(context.Background(), presented)
	if w := word(t, err); w != want {
		t.Fatalf("got %q (%v), want %q", w, err, want)
	}
	if got.IsZero() != (want != "") {
		t.Fatalf("IsZero is %v for %q", got.IsZero(), want)
	}
	return got
}

// file reads a certificate of testdata/pki, with what stands below it.
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

// clock is a clock that tests set.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// tbs is a certificate's inside as crypto/x509 does not let one write it.
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

// remade is p's certificate, changed and signed anew by issuer, as DER.
func remade(t testing.TB, issuer, p *testpki.Pair, change func(*tbs)) []byte {
	t.Helper()
	var inside tbs
	if _, err := asn1.Unmarshal(p.Cert.RawTBSCertificate, &inside); err != nil {
		t.Fatal(err)
	}
	change(&inside)
	return sign(t, issuer, inside, inside.Algorithm)
}

// sign wraps an inside that issuer signs with ECDSA and SHA-256.
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

// parsed is remade, parsed.
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

// signatureOf is issuer's signature with ECDSA and SHA-256.
func signatureOf(t testing.TB, issuer *testpki.Pair, data []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(data)
	sig, err := issuer.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// needOpenSSL skips a test where there is no openssl.
func needOpenSSL(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err == nil {
		return
	}
	if os.Getenv("MTLSGUARD_REQUIRE_ALL") == "1" {
		t.Fatal("there is no openssl, and MTLSGUARD_REQUIRE_ALL is set: apt-get install openssl")
	}
	t.Skip("there is no openssl: apt-get install openssl")
}
