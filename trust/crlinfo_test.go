package trust_test

import (
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// CRLs describes every list, those that a newer one replaces too.
func TestCRLsAreDescribed(t *testing.T) {
	t.Parallel()
	ca, other := testpki.NewCA("A CA"), testpki.NewCA("B CA")
	day := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	at := func(d time.Duration) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.ThisUpdate = day.Add(d) }
	}
	older := ca.CRL(1, nil, at(0))
	newer := ca.CRL(2, []*big.Int{big.NewInt(7), big.NewInt(9)}, at(time.Hour))
	single := other.CRL(5, nil, at(0), func(l *x509.RevocationList) { l.NextUpdate = day.Add(48 * time.Hour) })
	v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert, other.Cert}, CRLs: []*x509.RevocationList{single, older, newer}})
	if err != nil {
		t.Fatal(err)
	}
	got := v.CRLs()
	if len(got) != 3 {
		t.Fatalf("got %+v, want three lists", got)
	}
	for i, want := range []struct {
		issuer   string
		number   int64
		list     *x509.RevocationList
		entries  int
		replaced bool
	}{{"CN=A CA", 2, newer, 2, false}, {"CN=A CA", 1, older, 0, true}, {"CN=B CA", 5, single, 0, false}} {
		c := got[i]
		if c.Issuer != want.issuer || c.Number.Cmp(big.NewInt(want.number)) != 0 || c.Entries != want.entries || c.Replaced != want.replaced {
			t.Errorf("%d: got %+v, want issuer %s, number %d, %d entries, replaced %t", i, c, want.issuer, want.number, want.entries, want.replaced)
		}
		if !c.ThisUpdate.Equal(want.list.ThisUpdate) || !c.NextUpdate.Equal(want.list.NextUpdate) || !c.Until.Equal(want.list.NextUpdate) {
			t.Errorf("%d: got %+v, want the dates of the list", i, c)
		}
	}
	off, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}, CRLs: []*x509.RevocationList{newer}, Revocation: trust.RevocationOff})
	if err != nil {
		t.Fatal(err)
	}
	if got := off.CRLs(); len(got) != 1 {
		t.Errorf("without checks: %+v", got)
	}
}
