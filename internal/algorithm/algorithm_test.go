package algorithm_test

import (
	"bytes"
	"crypto/x509"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// The content of the OID of P-256, and of a curve of the same length that is not supported.
var p256, other = []byte("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"), []byte("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x01")

func TestUnsupportedCurveIsNamedInTheParserError(t *testing.T) {
	t.Parallel()
	good := testpki.NewCA("CA").Cert
	if c, err := algorithm.ParseCertificate(good.Raw); err != nil || !c.Equal(good) || algorithm.UnsupportedKey(c) != "" || algorithm.UnsupportedSignature(c) != "" || algorithm.IsUnsupportedCurve(good.Raw) {
		t.Errorf("a usual certificate: %v", err)
	}
	bad := bytes.Replace(good.Raw, p256, other, 1)
	const want = "its key is on a curve that is not supported: P-192 (1.2.840.10045.3.1.1)"
	if _, err := algorithm.ParseCertificate(bad); err == nil || err.Error() != want || !algorithm.IsUnsupportedCurve(bad) {
		t.Errorf("%v, want %q", err, want)
	}
	if _, err := algorithm.ParseCertificate([]byte("x")); err == nil || algorithm.IsUnsupportedCurve([]byte("x")) {
		t.Errorf("no certificate: %v", err)
	}
}

// ParseCertificate accepts the certificates of crypto/x509 and no others, and every algorithm
// that is not supported has a name.
func FuzzParseCertificate(f *testing.F) {
	good := testpki.NewCA("CA").Cert.Raw
	f.Add(good)
	f.Add(bytes.Replace(good, p256, other, 1))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := algorithm.ParseCertificate(raw)
		if _, std := x509.ParseCertificate(raw); (err == nil) != (std == nil) {
			t.Fatalf("%v, crypto/x509: %v", err, std)
		}
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without text")
			}
			return
		}
		if c.SignatureAlgorithm == x509.UnknownSignatureAlgorithm && algorithm.UnsupportedSignature(c) == "" || c.PublicKey == nil && algorithm.UnsupportedKey(c) == "" {
			t.Fatal("an algorithm without a name")
		}
	})
}
