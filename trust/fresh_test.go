package trust_test

import (
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// lasting makes a CRL that is valid from some time before now for some time.
func lasting(ca *testpki.Pair, number int64, age, life time.Duration, serials ...*big.Int) *x509.RevocationList {
	list := ca.CRL(number, serials, func(l *x509.RevocationList) {
		l.ThisUpdate = time.Now().Add(-age)
		l.NextUpdate = l.ThisUpdate.Add(max(life, time.Hour))
	})
	if life == 0 {
		list.NextUpdate = time.Time{} // crypto/x509 makes none without
	}
	return list
}

// With the self-test, a Verifier that would not refuse a revoked certificate is not
// made.
func TestG3_SelfTest(t *testing.T) {
	t.Parallel()
	ca, other := testpki.NewCA("CA"), testpki.NewCA("Other")
	revoked, fine := ca.Leaf("revoked"), ca.Leaf("fine")
	list := ca.CRL(1, []*big.Int{revoked.Cert.SerialNumber})
	for _, row := range []struct {
		name    string
		crls    []*x509.RevocationList
		mode    trust.Revocation
		must    []*x509.Certificate
		refuses string
	}{
		{"revoked", []*x509.RevocationList{list}, trust.Auto, []*x509.Certificate{revoked.Cert}, ""},
		{"soft", []*x509.RevocationList{list}, trust.Soft, []*x509.Certificate{revoked.Cert}, ""},
		{"stale", []*x509.RevocationList{lasting(ca, 1, 2*time.Hour, time.Hour, revoked.Cert.SerialNumber)}, trust.Hard, []*x509.Certificate{revoked.Cert}, ""},
		{"not revoked", []*x509.RevocationList{list}, trust.Auto, []*x509.Certificate{fine.Cert}, "fine"},
		{"one of two", []*x509.RevocationList{list}, trust.Auto, []*x509.Certificate{revoked.Cert, fine.Cert}, "fine"},
		{"off", []*x509.RevocationList{list}, trust.Off, []*x509.Certificate{revoked.Cert}, "revoked"},
		{"no CRL", nil, trust.Auto, []*x509.Certificate{revoked.Cert}, "revoked"},
		{"another authority's serial", []*x509.RevocationList{other.CRL(1, []*big.Int{revoked.Cert.SerialNumber})}, trust.Auto, []*x509.Certificate{revoked.Cert}, "revoked"},
	} {
		_, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert, other.Cert}, CRLs: row.crls, Revocation: row.mode, MustBeRevoked: row.must})
		if (err != nil) != (row.refuses != "") || err != nil && !strings.Contains(err.Error(), row.refuses) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// How long the CRLs will do, and which of them somebody should look after.
func TestI6_FreshAndAging(t *testing.T) {
	t.Parallel()
	a, b := testpki.NewCA("CA a"), testpki.NewCA("CA b")
	const day = 24 * time.Hour
	young, old := lasting(a, 1, time.Hour, day), lasting(b, 1, 13*time.Hour, day)
	stale, unlimited := lasting(a, 1, 2*day, day), lasting(a, 1, 5*day, 0)
	for _, row := range []struct {
		name  string
		mode  trust.Revocation
		crls  []*x509.RevocationList
		until time.Time
		aging []string
	}{
		{"young", trust.Auto, []*x509.RevocationList{young}, young.NextUpdate, nil},
		{"young and old", trust.Hard, []*x509.RevocationList{young, old}, old.NextUpdate, []string{"CN=CA b"}},
		{"stale and old", trust.Hard, []*x509.RevocationList{stale, old}, stale.NextUpdate, []string{"CN=CA a", "CN=CA b"}},
		{"stale and soft", trust.Soft, []*x509.RevocationList{stale}, time.Time{}, []string{"CN=CA a"}},
		{"without a next update", trust.Hard, []*x509.RevocationList{unlimited}, unlimited.ThisUpdate.Add(7 * day), []string{"CN=CA a"}},
		{"none", trust.Auto, nil, time.Time{}, nil},
	} {
		v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{a.Cert, b.Cert}, CRLs: row.crls, Revocation: row.mode})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.FreshUntil(); !got.Equal(row.until) {
			t.Errorf("%s: fresh until %s, wanted %s", row.name, got, row.until)
		}
		aging := v.Aging()
		if len(aging) != len(row.aging) {
			t.Errorf("%s: aging %q", row.name, aging)
			continue
		}
		for i, want := range row.aging {
			if !strings.Contains(aging[i], want) || strings.Contains(aging[i], "0001-") {
				t.Errorf("%s: aging %q", row.name, aging)
			}
		}
	}
}
