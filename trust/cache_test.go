package trust_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestZeroVerifiedIsNotVerified(t *testing.T) {
	var v trust.Verified
	if !v.IsZero() || v.Leaf() != nil || v.Chains() != nil || trustaccess.IssuerKeys(v) != nil ||
		!v.Fingerprint().IsZero() || !v.SPKI().IsZero() ||
		!v.Until().IsZero() || v.ValidAt(time.Now()) || v.ValidAt(time.Time{}) ||
		trustaccess.IssuedBy(v, trust.Digest{}) || trustaccess.IssuedUnder(v, trust.Digest{}) {
		t.Error("the zero value is verified")
	}
}

func TestCallerCannotChangeAVerified(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	v := trusting(t, ca.Cert)
	alice := ca.Leaf("alice").Presented()
	got := expect(t, v, alice, "")
	got.Chains()[0] = nil
	trustaccess.IssuerKeys(got)[0] = trust.Digest{}
	v.Anchors()[0] = nil
	again := expect(t, v, alice, "")
	if again.Chains()[0] == nil || trustaccess.IssuerKeys(again)[0].IsZero() || v.Anchors()[0] == nil {
		t.Error("a caller changed the result that other callers get")
	}
}

func TestCacheSameLeafWithOtherIntermediates(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	alice := ca.SubCA("Sub").Leaf("alice")
	v := trusting(t, ca.Cert)
	remembered(t, v, alice.Presented())
	expect(t, v, alice.Presented()[:1], reason.UnknownAuthority) // trusted a moment ago, with its issuer
	expect(t, v, certs{alice.Cert, testpki.NewCA("Sub").Cert}, reason.UnknownAuthority)
	expect(t, v, alice.Presented(), "")
}

// Covers G7.
func TestCachedResultEndsByTheClock(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	start := time.Now().Truncate(time.Second)
	c := &clock{start}
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Now: c.now})
	alice := ca.SubCA("Sub", func(c *x509.Certificate) { c.NotAfter = start.Add(5 * time.Minute) }).Leaf("alice", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = start, start.Add(time.Hour)
	}).Presented()
	got := remembered(t, v, alice)
	if want := start.Add(5 * time.Minute); !got.Until().Equal(want) || !got.ValidAt(start) || got.ValidAt(start.Add(-time.Nanosecond)) {
		t.Errorf("holds until %v, and at its start: %t; want from %v to %v", got.Until(), got.ValidAt(start), start, want)
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

// One chain expires before the other: until then both count, afterwards the other alone.
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
	if got := remembered(t, v, presented); !trustaccess.IssuedUnder(got, trust.SPKIOf(a.Cert)) || !got.Until().Equal(start.Add(time.Minute)) {
		t.Errorf("until %v", got.Until())
	}
	c.at = start.Add(2 * time.Minute)
	if got := expect(t, v, presented, ""); trustaccess.IssuedUnder(got, trust.SPKIOf(a.Cert)) || !trustaccess.IssuedUnder(got, trust.SPKIOf(b.Cert)) {
		t.Error("the chain that ended still counts")
	}
}

// remembered verifies presented and caches the result, as a finished handshake does.
func remembered(t testing.TB, v *trust.Verifier, presented certs) trust.Verified {
	t.Helper()
	got := expect(t, v, presented, "")
	trustaccess.Remember(v, got)
	if again := expect(t, v, presented, ""); again != got {
		t.Fatal("nothing is remembered")
	}
	return got
}

// Covers A23: a client can present a certificate without holding its key.
func TestVerifyRemembersNothingByItself(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	v := trusting(t, ca.Cert)
	alice := ca.SubCA("Sub").Leaf("alice").Presented()
	expect(t, v, alice, "")
	if _, err := trustaccess.VerifyLocal(v, alice); err != nil {
		t.Fatal(err)
	}
	trustaccess.Remember(v, trust.Verified{})
	trustaccess.Remember(v, expect(t, trusting(t, ca.Cert), alice, "")) // the result of another verifier
	if n := v.Remembered(); n != 0 {
		t.Errorf("%d results are kept", n)
	}
	remembered(t, v, alice)
}

// unrelated returns a certificate of about 15 kB that is in no chain. All share one key,
// because making keys is slow.
func unrelated(t testing.TB, key crypto.Signer, name string) *x509.Certificate {
	t.Helper()
	return testpki.Make(nil, key, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 99999, 2}, Value: make([]byte, 15<<10)}},
	}).Cert
}

// Covers A23, H9: a client with one good leaf can send it with different certificates each time.
func TestUnrelatedCertificatesMakeNoCacheEntries(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	v := trusting(t, ca.Cert)
	alice := ca.SubCA("Sub").Leaf("alice")
	first := remembered(t, v, alice.Presented())
	key := testpki.NewKey()
	for i := range 50 {
		// Any name, the issuer's name, the anchor's name.
		for _, name := range []string{"junk", "Sub", "Client CA"} {
			presented := append(alice.Presented(), unrelated(t, key, name))
			if i%2 == 0 {
				presented = append(certs{alice.Cert, presented[2]}, alice.Chain...)
			}
			got := expect(t, v, presented, "")
			if name == "junk" && got != first {
				t.Fatal("verified again because of an unrelated certificate")
			}
			trustaccess.Remember(v, got)
			for _, c := range got.Chains()[0][:2] {
				if len(c.Raw) > 4<<10 || c == alice.Cert || cap(c.Raw) > 4<<10 {
					t.Fatal("the cached result keeps the presented certificates in memory")
				}
			}
		}
		if n, size := v.Remembered(), v.RememberedBytes(); n != 1 || size > 64<<10 {
			t.Fatalf("%d leaves of %d bytes are kept", n, size)
		}
	}
}

// Covers A23: the same leaf under other issuers has its own cached result, up to a limit.
func TestSetsOfChainsOfOneLeafAreBounded(t *testing.T) {
	key := testpki.NewKey()
	var anchors, issuers certs
	for i := range 9 {
		root := testpki.NewCA(fmt.Sprint("Root ", i))
		anchors = append(anchors, root.Cert)
		issuers = append(issuers, testpki.Make(root, key, &x509.Certificate{
			Subject: pkix.Name{CommonName: "Issuing"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte{1},
		}).Cert)
	}
	alice := (&testpki.Pair{Cert: issuers[0], Key: key}).Leaf("alice").Cert
	v := verifier(t, trust.Config{Anchors: anchors})
	for i := range issuers {
		for j := range issuers {
			presented := certs{alice, issuers[i], issuers[j]}
			got := remembered(t, v, presented)
			if trustaccess.IssuedUnder(got, trust.SPKIOf(anchors[i])) != true || trustaccess.IssuedUnder(got, trust.SPKIOf(anchors[j])) != true || len(got.Chains()) > 2 {
				t.Fatalf("the cached result for issuers %d and %d is a different one", i, j)
			}
		}
		if n, size := v.Remembered(), v.RememberedBytes(); n != 1 || size > 256<<10 {
			t.Fatalf("%d leaves of %d bytes are kept", n, size)
		}
	}
}

// Covers A23, H9.
func TestCacheIsBoundedInBytes(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	if testing.Short() {
		t.Skip("it signs thousands of certificates")
	}
	ca := testpki.NewCA("Client CA")
	v := trusting(t, ca.Cert)
	key := testpki.NewKey()
	long := pkix.Extension{Id: []int{1, 3, 6, 1, 4, 1, 99999, 2}, Value: make([]byte, 14<<10)}
	before := int64(heap())
	for range 1100 { // some 36 KiB each: more than 32 MiB
		remembered(t, v, certs{ca.LeafWithKey("other", key, func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{long} }).Cert})
		if n, size := v.Remembered(), v.RememberedBytes(); n > 4096 || size > 32<<20 {
			t.Fatalf("%d leaves of %d bytes are kept", n, size)
		}
	}
	if grown := int64(heap()) - before; grown > 40<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	runtime.KeepAlive(v)
}

// The estimated size that bounds the cache is not below the memory that a result takes.
func TestSizeOfACachedResultIsNotUnderestimated(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	ca := testpki.NewCA("Client CA")
	v := trusting(t, ca.Cert)
	sub := ca.SubCA("Sub")
	key := testpki.NewKey()
	const n = 500
	all := make([]certs, n)
	for i := range all {
		all[i] = sub.LeafWithKey(fmt.Sprint("user ", i), key, func(c *x509.Certificate) {
			c.DNSNames = make([]string, 50)
			for j := range c.DNSNames {
				c.DNSNames[j] = fmt.Sprintf("host-%d.department-%d.example.org", j, i)
			}
		}).Presented()
	}
	before := int64(heap())
	for _, presented := range all {
		remembered(t, v, presented)
	}
	grown := int(int64(heap()) - before)
	t.Logf("%d bytes a result, estimated %d", grown/n, v.RememberedBytes()/n)
	if grown > v.RememberedBytes() {
		t.Errorf("%d bytes are kept, estimated %d", grown, v.RememberedBytes())
	}
	runtime.KeepAlive(all)
}

func TestVerifyIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	alice, bob := ca.Leaf("alice"), ca.SubCA("Sub").Leaf("bob")
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Revocation: trust.RevocationSoft, CRLs: lists(ca.CRL(1, serials(alice)))})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if _, err := v.Verify(context.Background(), alice.Presented()); reasonOf(t, err) != reason.Revoked {
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
