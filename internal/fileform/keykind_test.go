package fileform_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"strings"
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

// However a file is cut into parts, a key in it is found, and a text without marks is not taken for one.
func FuzzKeyFinder(f *testing.F) {
	alice := testpki.NewCA("CA").Leaf("alice")
	wrapped := base64.StdEncoding.EncodeToString(alice.KeyPEM())
	f.Add(alice.KeyPEM(), 7)
	f.Add([]byte(wrapped[:40]+"\n"+wrapped[40:]), 3)
	f.Add([]byte(`{"kty":"EC","d":"x"}`), 1)
	f.Add(alice.Cert.Raw, 100)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		size = max(1, size%512)
		found := func(size int) string {
			var k fileform.KeyFinder
			for part := data; len(part) > 0; part = part[min(size, len(part)):] {
				if what := k.Next(part[:min(size, len(part))]); what != "" {
					return what
				}
			}
			return ""
		}
		whole := found(len(data) + 1)
		if parts := found(size); (parts == "") != (whole == "") {
			t.Errorf("in parts of %d bytes: %q, whole: %q", size, parts, whole)
		}
		if bytes.Contains(data, []byte("PRIVATE KEY")) && whole == "" {
			t.Error("a key in PEM is not found")
		}
	})
}

// Looking for keys costs little beside the SHA-256 of a file.
func BenchmarkKeyFinder(b *testing.B) {
	line := `{"id":"partner-000001","user":"partner-000001","fingerprint":"sha256:7730503b371893bac12edd9a094965eb7a65da77ec7f8461ab5528f4c5419579"}` + "\n"
	data := []byte(strings.Repeat(line, 8<<10))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var k fileform.KeyFinder
		for part := data; len(part) > 0; part = part[min(32<<10, len(part)):] {
			if what := k.Next(part[:min(32<<10, len(part))]); what != "" {
				b.Fatal(what)
			}
		}
	}
}
