package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/san"
)

// Other anchors recognize every SPIFFE ID, so that they do not verify it. Its trust domain is the text
// between // and /.
// Covers B17.
func FuzzSPIFFEID(f *testing.F) {
	for _, uri := range []string{
		"spiffe://acme.example/orders", "SPIFFE://ACME.example/orders", "spiffe://u@acme.example:1/a", "spiffe:acme.example", "https://acme.example/",
		"spiffe://acme.example", "spiffe://acme.example/", "spiffe://acme.example.evil/a", "spiffe:\\\\acme.example\\a", " spiffe://acme.example/a", "spiffe://a/../acme.example",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		var b cryptobyte.Builder
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.Tag(san.URI).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(uri)) })
		})
		value, err := b.Bytes()
		if err != nil {
			t.Skip("the name cannot be encoded")
		}
		leaf := &x509.Certificate{Extensions: []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: value}}}
		domain, err := trustDomainOf(leaf)
		if err != nil {
			if domain != "" {
				t.Errorf("%q is no SPIFFE ID, and of %q", uri, domain)
			}
			return
		}
		if !strings.HasPrefix(uri, san.SPIFFE+domain+"/") || CheckTrustDomain(domain) != nil {
			t.Errorf("%q is of %q", uri, domain)
		}
		d := domains{names: map[string]bool{domain: true}}
		if d.claimed(leaf) != domain {
			t.Errorf("%q is of %q, and another anchor verifies it", uri, domain)
		}
	})
}
