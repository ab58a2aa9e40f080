package testkit

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// RSAKey returns the RSA key of testdata/pki with 1024, 2048 or 8192 bits. Making such a
// key takes up to a second of CPU time, so tests share these.
func RSAKey(tb testing.TB, bits int) *rsa.PrivateKey {
	tb.Helper()
	block, _ := pem.Decode(RSAKeyPEM(tb, bits))
	if block == nil {
		tb.Fatalf("the RSA key of %d bits is not PEM", bits)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	out, ok := key.(*rsa.PrivateKey)
	if !ok || out.N.BitLen() != bits {
		tb.Fatalf("the key is no RSA key of %d bits", bits)
	}
	return out
}

// RSAKeyPEM returns the same key in PEM, as programs other than ours read it.
func RSAKeyPEM(tb testing.TB, bits int) []byte {
	tb.Helper()
	data, err := pki.Files.ReadFile(fmt.Sprintf("rsa%d-key.pem", bits))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
