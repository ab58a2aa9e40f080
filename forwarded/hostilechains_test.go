package forwarded_test

import (
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// The gateway may have verified nothing: a certificate in a header is refused with the reason
// of the handshake. The certificates are those of testdata/pki.
// Covers F9.
func TestHostileChainsInHeadersAreRefused(t *testing.T) {
	t.Parallel()
	anchors := readChain(t, "client-ca.pem")
	var crls []*x509.RevocationList
	for _, name := range []string{"client-ca.crl", "client-sub-ca.crl"} {
		data, err := pki.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		crls = append(crls, list)
	}
	users := verifier(trust.Config{Anchors: anchors, CRLs: crls})
	files, err := pki.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]int{}
	for format, p := range products {
		r := receiver(t, p.topology(), func(c *forwarded.Config) { c.Users = users })
		for _, f := range files {
			if path.Ext(f.Name()) != ".pem" || strings.HasSuffix(f.Name(), "-key.pem") {
				continue
			}
			presented := readChain(t, f.Name())
			if !p.sendsIssuers {
				presented = presented[:1]
			}
			h := p.encode(presented)
			want := ""
			v, err := users.Verify(t.Context(), presented)
			if want = v.Fingerprint().String(); err != nil {
				want = string(reasonOf(t, err))
			}
			size := 0
			for _, name := range r.Headers() {
				size += len(h.Get(name))
			}
			if size > 16<<10 {
				want = "bad-header"
			}
			for range 2 {
				got, err := r.Verify(t.Context(), r.Read(h, nil))
				answer := got.Fingerprint().String()
				if err != nil {
					answer = string(reasonOf(t, err))
				}
				if answer != want {
					t.Errorf("%s, %s: %s, want %s", format, f.Name(), answer, want)
				}
			}
			if err != nil {
				reasons[want]++
			}
		}
	}
	if len(reasons) < 9 {
		t.Errorf("only the reasons %v", reasons)
	}
}

// A Receiver with new trust does not use the cache of the previous Receiver.
// Covers F9.
func TestCertificateRevokedAfterCachingIsRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	h := newHeader("Client-Cert", sequence(w.bob.Cert))
	for _, x := range []struct {
		serials []*big.Int
		want    string
	}{{nil, "bob"}, {[]*big.Int{w.bob.Cert.SerialNumber}, "revoked"}} {
		r := receiver(t, forwarded.RFC9440(), func(c *forwarded.Config) {
			c.Users = verifier(trust.Config{Anchors: certs{w.ca.Cert}, CRLs: []*x509.RevocationList{w.ca.CRL(1, x.serials)}})
		})
		for range 2 {
			if got := verifyHeaders(t, r, h); got != x.want {
				t.Errorf("%s, want %s", got, x.want)
			}
		}
	}
}

func readChain(t *testing.T, name string) certs {
	t.Helper()
	data, err := pki.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out certs
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}
