package trust

import (
	"crypto/x509"
	"math/big"
	"runtime"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// RememberedBytes returns the estimated size of the cache, for the external tests.
func (v *Verifier) RememberedBytes() int { return v.cache.entries.Size() }

// Remembered returns the number of leaves in the cache, for the external tests.
func (v *Verifier) Remembered() int { return v.cache.entries.Len() }

const manyEntries = 20_000

// large returns a list of 20,000 entries, a certificate on it and one that is not.
func large() (ca *testpki.Pair, der []byte, on, off *x509.Certificate) {
	ca = testpki.NewCA("Client CA")
	serials := make([]*big.Int, manyEntries)
	for i := range serials {
		serials[i] = new(big.Int).Lsh(big.NewInt(int64(7*i+1)), 88) // 13 to 14 bytes
	}
	serial := func(n int64) testpki.Option {
		return func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(n), 88) }
	}
	return ca, ca.CRL(1, serials).Raw, ca.Leaf("on", serial(7*4321+1)).Cert, ca.Leaf("off", serial(7*4321+2)).Cert
}

func (v *Verifier) only(ca *testpki.Pair) *crl { return v.crls[dn.Canonical(ca.Cert.RawSubject)][0] }

func TestLargeCRLTakesLittleMemory(t *testing.T) {
	ca, der, on, off := large()
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	v := func() *Verifier {
		list, err := x509.ParseRevocationList(append([]byte(nil), der...))
		if err != nil {
			t.Fatal(err)
		}
		v, err := New(Config{Anchors: []*x509.Certificate{ca.Cert}, CRLs: []*x509.RevocationList{list}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}()
	after := heap()
	if kept := int64(after) - int64(before); kept > 1600<<10 {
		t.Errorf("%.1f MB are kept for %d entries, want less than 1.6", float64(kept)/(1<<20), manyEntries)
	}
	l := v.only(ca)
	if !l.revokes(on.SerialNumber) || l.revokes(off.SerialNumber) {
		t.Error("isRevoked is wrong")
	}
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() { l.revokes(off.SerialNumber); l.signedBy(ca.Cert) }); n != 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
	if revoked, _, _ := v.crlStatus(on, ca.Cert, dn.Canonical(ca.Cert.RawSubject), now); !revoked {
		t.Error("not revoked")
	}
	if revoked, why, end := v.crlStatus(off, ca.Cert, dn.Canonical(ca.Cert.RawSubject), now); revoked || why != "" || end.IsZero() {
		t.Errorf("revoked %v, detail %q", revoked, why)
	}
}

func BenchmarkCRLLookUp(b *testing.B) {
	ca, der, on, _ := large()
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		b.Fatal(err)
	}
	v, err := New(Config{Anchors: []*x509.Certificate{ca.Cert}, CRLs: []*x509.RevocationList{list}})
	if err != nil {
		b.Fatal(err)
	}
	l := v.only(ca)
	b.ReportAllocs()
	for b.Loop() {
		l.revokes(on.SerialNumber)
	}
}

func BenchmarkVerifyKnown(b *testing.B) {
	ca := testpki.NewCA("Client CA")
	v, err := New(Config{Anchors: []*x509.Certificate{ca.Cert}})
	if err != nil {
		b.Fatal(err)
	}
	presented := ca.Leaf("alice").Presented()
	first, err := v.Verify(b.Context(), presented)
	if err != nil {
		b.Fatal(err)
	}
	v.remember(first)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), presented); err != nil {
			b.Fatal(err)
		}
	}
}
