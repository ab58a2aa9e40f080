package trust_test

import (
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// lasting returns a CRL of that age that is valid for life.
func lasting(ca *testpki.Pair, number int64, age, life time.Duration, serials ...*big.Int) *x509.RevocationList {
	list := ca.CRL(number, serials, func(l *x509.RevocationList) {
		l.ThisUpdate = time.Now().Add(-age)
		l.NextUpdate = l.ThisUpdate.Add(max(life, time.Hour))
	})
	if life == 0 {
		list.NextUpdate = time.Time{} // crypto/x509 makes no list without one
	}
	return list
}

// New fails if the Verifier would not refuse a certificate of MustBeRevoked.
// Covers G3.
func TestMustBeRevokedIsChecked(t *testing.T) {
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
		{"revoked", []*x509.RevocationList{list}, trust.RevocationAuto, []*x509.Certificate{revoked.Cert}, ""},
		{"soft", []*x509.RevocationList{list}, trust.RevocationSoft, []*x509.Certificate{revoked.Cert}, ""},
		{"stale", []*x509.RevocationList{lasting(ca, 1, 2*time.Hour, time.Hour, revoked.Cert.SerialNumber)}, trust.RevocationHard, []*x509.Certificate{revoked.Cert}, ""},
		{"not revoked", []*x509.RevocationList{list}, trust.RevocationAuto, []*x509.Certificate{fine.Cert}, "fine"},
		{"one of two", []*x509.RevocationList{list}, trust.RevocationAuto, []*x509.Certificate{revoked.Cert, fine.Cert}, "fine"},
		{"off", []*x509.RevocationList{list}, trust.RevocationOff, []*x509.Certificate{revoked.Cert}, "revoked"},
		{"no CRL", nil, trust.RevocationAuto, []*x509.Certificate{revoked.Cert}, "revoked"},
		{"another authority's serial", []*x509.RevocationList{other.CRL(1, []*big.Int{revoked.Cert.SerialNumber})}, trust.RevocationAuto, []*x509.Certificate{revoked.Cert}, "revoked"},
	} {
		_, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert, other.Cert}, CRLs: row.crls, Revocation: row.mode, MustBeRevoked: row.must})
		if (err != nil) != (row.refuses != "") || err != nil && !strings.Contains(err.Error(), row.refuses) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.refuses)
		}
	}
}

// A list satisfies MustBeRevoked only if Verify would refuse the certificate by it.
//
// Covers V4.
func TestSelfTestWantsAListThatVerifyWouldUse(t *testing.T) {
	t.Parallel()
	ca, namesake, other := testpki.NewCA("CA"), testpki.NewCA("CA"), testpki.NewCA("Other")
	sub, renewedSub := ca.SubCA("Sub"), ca.SubCA("Sub")
	foreignSub := other.SubCA("Sub")
	canary, below := ca.Leaf("canary"), sub.Leaf("below")
	ended := ca.Leaf("ended", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	one, two := serials(canary), serials(below)
	for _, row := range []struct {
		name    string
		anchors certs
		crls    []*x509.RevocationList
		issuers certs
		must    *testpki.Pair
		refuses string
		warns   string
	}{
		{"its issuer's list", certs{ca.Cert}, lists(ca.CRL(1, one)), nil, canary, "", ""},
		{"a list of another key under the name, beside a good one", certs{ca.Cert}, lists(ca.CRL(1, nil), namesake.CRL(1, one)), nil, canary, "not signed by its key", ""},
		{"a list of another anchor's key under the name", certs{ca.Cert, other.Cert}, lists(ca.CRL(1, nil), other.CRL(1, one)), nil, canary, "must be revoked, but is not", ""},
		{"a list of the CA's other key", certs{ca.Cert, namesake.Cert}, lists(ca.CRL(1, nil), namesake.CRL(1, one)), nil, canary, "", ""},
		{"a stale list", certs{ca.Cert}, lists(ca.CRL(1, one, until(time.Now().Add(-time.Hour)))), nil, canary, "", ""},
		{"its intermediate is not known", certs{ca.Cert}, lists(sub.CRL(1, two)), nil, below, "no CRL issuer issued it", ""},
		{"its intermediate is known", certs{ca.Cert}, lists(sub.CRL(1, two)), certs{sub.Cert}, below, "", ""},
		{"its intermediate's name, another key", certs{ca.Cert}, lists(sub.CRL(1, nil), renewedSub.CRL(1, two)), certs{sub.Cert}, below, "not signed by its key", ""},
		{"its intermediate's new key", certs{ca.Cert}, lists(renewedSub.CRL(1, two)), certs{sub.Cert, renewedSub.Cert}, below, "", ""},
		{"its intermediate's name under another anchor", certs{ca.Cert, other.Cert}, lists(foreignSub.CRL(1, two)), certs{sub.Cert, foreignSub.Cert}, below, "must be revoked, but is not", ""},
		{"it has expired and is off the list", certs{ca.Cert}, lists(ca.CRL(2, nil)), nil, ended, "", "that must be revoked expired"},
		{"it has expired and is on the list", certs{ca.Cert}, lists(ca.CRL(2, serials(ended))), nil, ended, "", "that must be revoked expired"},
	} {
		for _, mode := range []trust.Revocation{trust.RevocationSoft, trust.RevocationHard} {
			c := trust.Config{Anchors: row.anchors, CRLs: row.crls, CRLIssuers: row.issuers, Revocation: mode}
			v, err := trust.New(c)
			if err == nil && row.refuses == "" && row.warns == "" {
				expect(t, v, row.must.Presented(), reason.Revoked) // Verify agrees
			}
			c.MustBeRevoked = certs{row.must.Cert}
			v, err = trust.New(c)
			if (err != nil) != (row.refuses != "") || err != nil && !strings.Contains(err.Error(), row.refuses) {
				t.Errorf("%s: got %v, want %q", row.name, err, row.refuses)
			}
			if err == nil && row.warns != "" && !strings.Contains(strings.Join(warningsOf(v), "\n"), row.warns) {
				t.Errorf("%s: warnings %q", row.name, warningsOf(v))
			}
		}
	}
	if _, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(ca.CRL(1, nil)), MustBeRevoked: certs{nil}}); err == nil {
		t.Error("MustBeRevoked with a nil certificate: no error")
	}
}

// CRLsFreshUntil is the first end of a CRL. AgingCRLs describes the CRLs that are due for
// renewal.
// Covers I6.
func TestFreshnessOfCRLs(t *testing.T) {
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
	}{
		{"young", trust.RevocationAuto, []*x509.RevocationList{young}, young.NextUpdate},
		{"young and old", trust.RevocationHard, []*x509.RevocationList{young, old}, old.NextUpdate},
		{"stale and old", trust.RevocationHard, []*x509.RevocationList{stale, old}, stale.NextUpdate},
		{"stale and soft", trust.RevocationSoft, []*x509.RevocationList{stale}, time.Time{}},
		{"without a next update", trust.RevocationHard, []*x509.RevocationList{unlimited}, unlimited.ThisUpdate.Add(7 * day)},
		{"none", trust.RevocationAuto, nil, time.Time{}},
	} {
		v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{a.Cert, b.Cert}, CRLs: row.crls, Revocation: row.mode})
		if err != nil {
			t.Fatal(err)
		}
		if got := trustaccess.CRLsFreshUntil(v); !got.Equal(row.until) {
			t.Errorf("%s: fresh until %s, want %s", row.name, got, row.until)
		}
		current := trustaccess.CurrentCRLs(v)
		if len(current) != len(row.crls) {
			t.Errorf("%s: %d current CRLs", row.name, len(current))
			continue
		}
		for i, c := range current {
			want := row.crls[i].NextUpdate
			if want.IsZero() {
				want = row.until
			}
			if c.List.Issuer.String() != row.crls[i].Issuer.String() || !c.Until.Equal(want) || len(c.List.RevokedCertificateEntries) > 0 {
				t.Errorf("%s: the CRL of %s until %s", row.name, c.List.Issuer, c.Until)
			}
		}
	}
}
