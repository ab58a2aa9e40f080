package trust_test

import (
	"context"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A list that a newer one has replaced still revokes, and does not show that a certificate
// is not revoked: with last month's list beside today's, revocation is unknown when today's
// ends.
//
// Covers V7.
func TestReplacedListOnlyRevokes(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("CA")
	sameID := func(c *x509.Certificate) { c.SubjectKeyId = []byte{1} }
	old, next := testpki.NewCA("Rolled", sameID), testpki.NewCA("Rolled", sameID) // two keys with the same key identifier
	carol := old.Leaf("carol")
	alice, bob := ca.Leaf("alice"), ca.Leaf("bob")
	now := time.Now()
	long := func(number int64, revoked ...*testpki.Pair) *x509.RevocationList {
		return ca.CRL(number, serials(revoked...), from(now.Add(-72*time.Hour)), until(now.Add(30*24*time.Hour)))
	}
	short := func(number int64, end time.Duration) *x509.RevocationList {
		return ca.CRL(number, nil, from(now.Add(-48*time.Hour)), until(now.Add(end)))
	}
	for _, row := range []struct {
		name    string
		anchors certs
		crls    []*x509.RevocationList
		who     *testpki.Pair
		want    reason.Reason
	}{
		{"the newer one is in its time", certs{ca.Cert}, lists(long(1), short(2, time.Hour)), alice, ""},
		{"the newer one has ended", certs{ca.Cert}, lists(long(1), short(2, -time.Hour)), alice, reason.RevocationUnknown},
		{"in the other order", certs{ca.Cert}, lists(short(2, -time.Hour), long(1)), alice, reason.RevocationUnknown},
		{"the older one revokes", certs{ca.Cert}, lists(long(1, bob), short(2, time.Hour)), bob, reason.Revoked},
		{"the older one has ended", certs{ca.Cert}, lists(short(1, -time.Hour), long(2)), alice, ""},
		{"two keys are two series", certs{old.Cert, next.Cert}, lists(old.CRL(1, nil), next.CRL(2, nil, until(now.Add(-time.Minute)))), carol, ""},
	} {
		v, err := trust.New(trust.Config{Anchors: row.anchors, CRLs: row.crls})
		if err != nil {
			t.Errorf("%s: the verifier: %v", row.name, err)
			continue
		}
		_, err = v.Verify(context.Background(), row.who.Presented())
		if got := reasonIn(err); got != row.want {
			t.Errorf("%s: %q (%v), want %q", row.name, got, err, row.want)
		}
	}
}

// No list can hold a serial number of more than 20 bytes, so no list shows that such a
// certificate is not revoked.
//
// Covers V8.
func TestSerialThatNoListCanHoldIsNotGood(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("CA")
	long := ca.Leaf("alice", func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 8*20) })
	for mode, want := range map[trust.Revocation]reason.Reason{trust.RevocationHard: reason.RevocationUnknown, trust.RevocationSoft: "", trust.RevocationOff: ""} {
		v, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(ca.CRL(1, nil)), Revocation: mode})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(context.Background(), long.Presented()); reasonIn(err) != want {
			t.Errorf("%d: %v, want %q", mode, err, want)
		}
	}
}
