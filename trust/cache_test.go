package trust_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestVerifiedZeroValueIsNobody(t *testing.T) {
	var v trust.Verified
	if !v.IsZero() || v.Leaf() != nil || v.Anchor() != nil || v.Chains() != nil || v.Issuers() != nil ||
		!v.Fingerprint().IsZero() || !v.SPKI().IsZero() || v.Generation() != 0 ||
		!v.NotBefore().IsZero() || !v.Until().IsZero() || v.ValidAt(time.Now()) || v.ValidAt(time.Time{}) ||
		v.IssuedBy(trust.Digest{}) || v.IssuedUnder(trust.Digest{}) {
		t.Error("the zero value is somebody")
	}
}

func TestVerifiedIsNotTheCallersToChange(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	v := trusting(t, ca.Cert)
	alice := ca.Leaf("alice").Presented()
	got := expect(t, v, alice, "")
	got.Chains()[0] = nil
	got.Issuers()[0] = trust.Digest{}
	v.Anchors()[0] = nil
	again := expect(t, v, alice, "")
	if again.Chains()[0] == nil || again.Issuers()[0].IsZero() || v.Anchors()[0] == nil {
		t.Error("a caller changed what others see")
	}
}

func TestCacheSameLeafWithOtherIntermediates(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	alice := ca.SubCA("Sub").Leaf("alice")
	v := trusting(t, ca.Cert)
	expect(t, v, alice.Presented(), "")
	expect(t, v, alice.Presented()[:1], reason.UnknownAuthority) // believed a moment ago, with its issuer
	expect(t, v, certs{alice.Cert, testpki.NewCA("Sub").Cert}, reason.UnknownAuthority)
	expect(t, v, alice.Presented(), "")
}

func TestG7_CacheIsJudgedAgainByTheClock(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	start := time.Now().Truncate(time.Second)
	c := &clock{start}
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Now: c.now})
	alice := ca.SubCA("Sub", func(c *x509.Certificate) { c.NotAfter = start.Add(5 * time.Minute) }).Leaf("alice", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = start, start.Add(time.Hour)
	}).Presented()
	got := expect(t, v, alice, "")
	if want := start.Add(5 * time.Minute); !got.Until().Equal(want) || !got.NotBefore().Equal(start) {
		t.Errorf("holds from %v to %v, want %v to %v", got.NotBefore(), got.Until(), start, want)
	}
	for _, step := range []struct {
		at   time.Duration
		want reason.Reason
	}{
		{5 * time.Minute, ""}, {5*time.Minute + time.Second, reason.Expired}, // the authority's end, not the leaf's
		{0, ""}, {-time.Second, reason.NotYetValid}, {time.Minute, ""},
	} {
		c.at = start.Add(step.at)
		expect(t, v, alice, step.want)
		if got.ValidAt(c.at) != (step.want == "") {
			t.Errorf("ValidAt(%v) is %v", step.at, got.ValidAt(c.at))
		}
	}
}

// One chain ends before the other: until then both count, afterwards the other.
func TestCacheChainsEndAtDifferentTimes(t *testing.T) {
	a, b := testpki.NewCA("A"), testpki.NewCA("B")
	start := time.Now().Truncate(time.Second)
	c := &clock{start}
	byA := a.SubCA("Issuing", func(c *x509.Certificate) { c.NotAfter = start.Add(time.Minute) })
	byB := testpki.Make(b, byA.Key, &x509.Certificate{
		Subject: byA.Cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: byA.Cert.SubjectKeyId,
	})
	v := verifier(t, trust.Config{Anchors: certs{a.Cert, b.Cert}, Now: c.now})
	presented := certs{byA.Leaf("alice").Cert, byA.Cert, byB.Cert}
	if got := expect(t, v, presented, ""); !got.IssuedUnder(trust.SPKIOf(a.Cert)) || !got.Until().Equal(start.Add(time.Minute)) {
		t.Errorf("until %v", got.Until())
	}
	c.at = start.Add(2 * time.Minute)
	if got := expect(t, v, presented, ""); got.IssuedUnder(trust.SPKIOf(a.Cert)) || !got.IssuedUnder(trust.SPKIOf(b.Cert)) {
		t.Error("the chain that ended still counts")
	}
}

func TestH9_CacheIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it signs thousands of certificates")
	}
	ca := testpki.NewCA("Client CA")
	v := trusting(t, ca.Cert)
	alice := ca.Leaf("alice").Cert
	extras := make(certs, 70)
	for i := range extras {
		extras[i] = testpki.NewCA(fmt.Sprint(i)).Cert
	}
	// A client with one good leaf may send it with ever other certificates.
	for i := range extras {
		for j := range extras {
			if _, err := v.Verify(context.Background(), certs{alice, extras[i], extras[j]}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := v.Remembered(); n > 4096 {
		t.Errorf("%d judgements are kept", n)
	}
}

func TestVerifyIsSafeForConcurrentUse(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	alice, bob := ca.Leaf("alice"), ca.SubCA("Sub").Leaf("bob")
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Revocation: trust.Soft, CRLs: lists(ca.CRL(1, serials(alice)))})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if _, err := v.Verify(context.Background(), alice.Presented()); word(t, err) != reason.Revoked {
					t.Errorf("alice: %v", err)
				}
				if _, err := v.Verify(context.Background(), bob.Presented()); err != nil {
					t.Errorf("bob: %v", err)
				}
			}
		})
	}
	all.Wait()
}
