package fileform_test

import (
	"crypto/x509"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// A key that crypto/x509 reads is recognised, a certificate or CRL is not, and nothing panics.
func FuzzKeyKind(f *testing.F) {
	alice := testpki.NewCA("CA").Leaf("alice")
	pkcs8, err := x509.MarshalPKCS8PrivateKey(alice.Key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pkcs8)
	f.Add(alice.Cert.Raw)
	f.Add([]byte("\x30\x80\x02\x01\x03\x30\x80\x06\x09"))
	f.Fuzz(func(t *testing.T, data []byte) {
		kind := fileform.KeyKind(data[:min(len(data), fileform.KindHead)])
		_, pkcs8 := x509.ParsePKCS8PrivateKey(data)
		_, pkcs1 := x509.ParsePKCS1PrivateKey(data)
		_, sec1 := x509.ParseECPrivateKey(data)
		if key := pkcs8 == nil || pkcs1 == nil || sec1 == nil; key && kind == "" {
			t.Error("a private key is not recognised")
		}
		_, certificate := x509.ParseCertificate(data)
		_, list := x509.ParseRevocationList(data)
		if shared := certificate == nil || list == nil; shared && kind != "" {
			t.Errorf("a certificate or CRL is taken for %s", kind)
		}
	})
}
