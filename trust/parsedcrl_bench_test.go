package trust

import (
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
)

// largeCRL returns a CRL of 100,000 entries, and its CA.
func largeCRL() ([]byte, *testpki.Pair) {
	ca := testpki.NewCA("Client CA")
	serials := make([]*big.Int, 100_000)
	for i := range serials {
		serials[i] = new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 100), big.NewInt(int64(i)*7919))
	}
	return ca.CRL(1, serials, func(l *x509.RevocationList) {
		for i := range l.RevokedCertificateEntries {
			l.RevokedCertificateEntries[i].ReasonCode = 1 // as most lists have it
		}
	}).Raw, ca
}

// BenchmarkParseCRL parses a CRL, beside crypto/x509 alone, which every parse contains.
func BenchmarkParseCRL(b *testing.B) {
	raw, _ := largeCRL()
	b.Run("x509", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := x509.ParseRevocationList(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("trust", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (access{}).ParseCRLs("ca.crl", raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkVerifiersOfOneCRL makes the verifiers of 30 ports: each with a list of its own, and
// all with one.
func BenchmarkVerifiersOfOneCRL(b *testing.B) {
	raw, ca := largeCRL()
	lists, err := access{}.ParseCRLs("ca.crl", raw)
	if err != nil {
		b.Fatal(err)
	}
	config := Config{Anchors: []*x509.Certificate{ca.Cert}}
	make30 := func(b *testing.B, lists func() []hook.ParsedCRL) {
		b.ReportAllocs()
		for b.Loop() {
			for range 30 {
				mine := lists()
				if err := (access{}).CheckParsedCRL(mine[0], config.Anchors, time.Now()); err != nil {
					b.Fatal(err)
				}
				if _, err := (access{}).New(config, mine); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("parsed each", func(b *testing.B) {
		make30(b, func() []hook.ParsedCRL {
			own, err := access{}.ParseCRLs("ca.crl", raw)
			if err != nil {
				b.Fatal(err)
			}
			return own
		})
	})
	b.Run("shared", func(b *testing.B) { make30(b, func() []hook.ParsedCRL { return lists }) })
}
