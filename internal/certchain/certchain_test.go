package certchain

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// Of several certificates of a key the one that is valid and began last is the leaf, and of
// several of an authority the valid one with the latest end is the issuer.
func TestTheBestCertificateIsChosenWhateverTheOrder(t *testing.T) {
	t.Parallel()
	now, day := time.Now(), 24*time.Hour
	between := func(from, to int) testpki.Option {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = now.Add(time.Duration(from)*day), now.Add(time.Duration(to)*day)
		}
	}
	ca := testpki.NewCA("CA", between(-100, 100))
	sub := ca.SubCA("Sub", between(-50, -1))
	again := func(issuer, p *testpki.Pair, from, to int) *x509.Certificate {
		template := *p.Cert
		template.SerialNumber = nil
		return testpki.Make(issuer, p.Key, &template, between(from, to)).Cert
	}
	subLater, subLong := again(ca, sub, -20, 10), again(ca, sub, -30, 40)
	old := sub.Leaf("alice", between(-40, -2))
	current, longer, next := again(sub, old, -5, 5), again(sub, old, -9, 50), again(sub, old, 2, 90)
	all := []*x509.Certificate{old.Cert, sub.Cert, longer, next, subLater, current, subLong, ca.Cert}
	for range 2 {
		if !IsAmbiguous(old.Key, all) || IsAmbiguous(old.Key, []*x509.Certificate{old.Cert, sub.Cert, ca.Cert}) {
			t.Error("ambiguity")
		}
		leaves := Leaves(old.Key, all, now)
		if len(leaves) != 4 || leaves[0] != current || leaves[1] != longer || leaves[2] != next || leaves[3] != old.Cert {
			t.Errorf("%d leaves, in another order", len(leaves))
		}
		if chain := Build(current, all, now); len(chain) != 3 || chain[1] != subLong || chain[2] != ca.Cert {
			t.Errorf("%d certificates, or another issuer", len(chain))
		}
		slices.Reverse(all)
	}
	// With none valid the newest is taken, so that the error names it.
	if leaves := Leaves(old.Key, all, now.Add(1000*day)); leaves[0] != next {
		t.Error("the newest is not the first")
	}
	if Earliest([]*x509.Certificate{longer, subLater, ca.Cert}) != subLater || Earliest(nil) != nil {
		t.Error("the earliest end")
	}
}
