package ports_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

// withUnrelated returns the certificate of holder followed by unrelated ones of about
// 15.8 kB, ten in all, which are in no chain and differ for every i.
func withUnrelated(holder *testpki.Pair, unrelated *x509.Certificate, i int) tls.Certificate {
	own := holder.TLS()
	for n := range 10 - len(own.Certificate) {
		der := append([]byte(nil), unrelated.Raw...)
		der[len(der)/2], der[len(der)/2+1], der[len(der)/2+2] = byte(i), byte(i>>8), byte(n) // in an extension: it still parses
		own.Certificate = append(own.Certificate, der)
	}
	return own
}

func sends(c tls.Certificate) tlsOption {
	return func(config *tls.Config) {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
	}
}

// Covers A23, H9. A certificate is public: a client can send it without its key.
func TestUnrelatedCertificatesAreNotCached(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	key := testpki.NewKey()
	named := func(name string) *x509.Certificate {
		return testpki.Make(nil, key, &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			ExtraExtensions: []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 99999, 2}, Value: make([]byte, 15500)}},
		}).Cert
	}
	impostor := &testpki.Pair{Cert: alice.Cert, Key: testpki.NewKey()}
	const visits = 24 // each 150 kB of certificates, 3.6 MB together
	low := clientCA.SubCA("Upper").SubCA("Lower").Leaf("low")
	for name, x := range map[string]struct {
		holder *testpki.Pair
		junk   string
		in     bool
	}{
		"valid leaf, foreign key":              {impostor, "Unrelated", false},
		"valid leaf, own key":                  {alice, "Unrelated", true},
		"valid leaf, own key, name of the CA":  {alice, "Client CA", true},
		"valid chain, own key, name of its CA": {low, "Lower", true},
	} {
		for version, o := range map[string]tlsOption{"TLS 1.3": h1, "TLS 1.2": tls12} {
			t.Run(name+", "+version, func(t *testing.T) {
				c, _ := config(t, ports.Require)
				c.OnHandshake = nil // the recorder would keep the certificates
				p := serving(t, c)
				junk := named(x.junk)
				visit := func(i int) {
					raw, err := net.Dial("tcp", p.Addr().String())
					if err != nil {
						t.Fatal(err)
					}
					defer raw.Close()
					own, err := over(raw, clientConfig(x.holder, o, h1, sends(withUnrelated(x.holder, junk, i))))
					body := ""
					if err == nil {
						body, _, err = own.get("/")
						own.http.CloseIdleConnections()
					}
					if (err == nil && strings.Contains(body, x.holder.Cert.Subject.CommonName)) != x.in {
						t.Fatalf("%d: got %q, %v; want an answer: %t", i, body, err, x.in)
					}
				}
				visit(0)
				testkit.Eventually(t, "the first connection ends", func() bool { return p.ConnCount() == 0 })
				before := int64(heapNow())
				for i := range visits {
					visit(1 + i)
				}
				testkit.Eventually(t, "the connections end", func() bool { return p.ConnCount() == 0 })
				var grown int64
				testkit.Eventually(t, "the memory is freed", func() bool {
					grown = int64(heapNow()) - before
					return grown < 2<<20
				})
				t.Logf("the heap has grown by %d KiB", grown>>10)
				runtime.KeepAlive(p)
			})
		}
	}
}
