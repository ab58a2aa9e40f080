package trust_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Covers B8.
func TestLeafWithALongLifetimeIsRefused(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	const most = 398 * 24 * time.Hour
	start := time.Now().Truncate(time.Second).Add(-time.Hour)
	lives := func(d time.Duration) certs {
		return ca.Leaf("alice", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = start, start.Add(d) }).Presented()
	}
	limited := verifier(t, trust.Config{Anchors: certs{ca.Cert}, MaxLeafLifetime: most})
	expect(t, limited, lives(most), "")
	expect(t, limited, lives(most+time.Second), reason.BadCertificate)
	expect(t, limited, lives(10*365*24*time.Hour), reason.BadCertificate)
	expect(t, trusting(t, ca.Cert), lives(10*365*24*time.Hour), "")
	// The authorities may live longer.
	expect(t, limited, ca.SubCA("Sub").Leaf("alice").Presented(), "")
}

// A certificate with the same subject, serial and key identifiers and another key is refused.
// Covers B14.
func TestCertificateWithTheSameFieldsAndAnotherKeyIsRefused(t *testing.T) {
	ids := func(c *x509.Certificate) { c.SerialNumber, c.SubjectKeyId = big.NewInt(1), []byte{1, 2, 3, 4} }
	serial := func(c *x509.Certificate) { c.SerialNumber, c.SubjectKeyId = big.NewInt(42), []byte{5, 6, 7, 8} }
	ca, twin := testpki.NewCA("Client CA", ids), testpki.NewCA("Client CA", ids)
	own, fake := ca.Leaf("alice", serial), twin.Leaf("alice", serial)
	if string(own.Cert.AuthorityKeyId) != string(fake.Cert.AuthorityKeyId) || string(own.Cert.RawSubject) != string(fake.Cert.RawSubject) {
		t.Fatal("the twins differ")
	}
	v := trusting(t, ca.Cert)
	expect(t, v, own.Presented(), "")
	expect(t, v, fake.Presented(), reason.UnknownAuthority)
	expect(t, v, certs{fake.Cert, twin.Cert}, reason.UnknownAuthority) // nor with its authority's certificate
	expect(t, v, certs{fake.Cert, ca.Cert}, reason.UnknownAuthority)
	expect(t, v, certs{fake.Cert, own.Cert}, reason.UnknownAuthority)
	// With a pinned leaf, its twin is another certificate.
	pin := trusting(t, own.Cert)
	expect(t, pin, own.Presented(), "")
	expect(t, pin, fake.Presented(), reason.UnknownAuthority)
}

// The verifiers of one process, for users and for gateways, share nothing.
// Covers B16.
func TestVerifiersDoNotShareAnchors(t *testing.T) {
	users, gateways := testpki.NewCA("User CA"), testpki.NewCA("Gateway CA")
	alice, gateway := users.Leaf("alice").Presented(), gateways.Leaf("gateway").Presented()
	byUsers, byGateways := trusting(t, users.Cert), trusting(t, gateways.Cert)
	for range 2 { // the second time from each one's cache
		expect(t, byUsers, alice, "")
		expect(t, byGateways, gateway, "")
		expect(t, byUsers, gateway, reason.UnknownAuthority)
		expect(t, byGateways, alice, reason.UnknownAuthority)
	}
}

// The authority of tenant B issues a certificate with a name of tenant A: it is trusted as
// issued by B, and A is not in its chain.
// Covers B17.
func TestIssuerOfAnotherDomainIsNotInTheChain(t *testing.T) {
	id := &url.URL{Scheme: "spiffe", Host: "a", Path: "/sa/orders"}
	name := func(c *x509.Certificate) { c.URIs = []*url.URL{id} }
	same := func(c *x509.Certificate) { c.SubjectKeyId = []byte{1, 2, 3, 4} }
	for _, row := range []struct{ a, b string }{{"CA of A", "CA of B"}, {"CA", "CA"}} { // with the same name of the authorities too
		a, b := testpki.NewCA(row.a, same), testpki.NewCA(row.b, same)
		v := trusting(t, a.Cert, b.Cert)
		keyA, keyB := trust.SPKIOf(a.Cert), trust.SPKIOf(b.Cert)
		below := b.SubCA(row.a)
		for _, presented := range []certs{
			b.Leaf("x", name).Presented(),
			append(b.Leaf("x", name).Presented(), a.Cert),
			{below.Leaf("x", name).Cert, below.Cert, a.Cert},
		} {
			got := expect(t, v, presented, "")
			if trustaccess.IssuedBy(got, keyA) || trustaccess.IssuedUnder(got, keyA) || slices.Contains(trustaccess.IssuerKeys(got), keyA) || !trustaccess.IssuedUnder(got, keyB) {
				t.Errorf("%s: issuers %v", row.a, trustaccess.IssuerKeys(got))
			}
		}
	}
}

// No URL in a certificate is ever fetched.
// Covers B19.
func TestURLsOfCertificatesAreNotFetched(t *testing.T) {
	var hits atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer canary.Close()
	urls := func(c *x509.Certificate) {
		c.OCSPServer = []string{canary.URL + "/ocsp"}
		c.IssuingCertificateURL = []string{canary.URL + "/issuer"}
		c.CRLDistributionPoints = []string{canary.URL + "/crl"}
	}
	ca := testpki.NewCA("Client CA", urls)
	sub := ca.SubCA("Sub", urls)
	leaf := sub.Leaf("alice", urls)
	untrusted := testpki.NewCA("Other CA", urls).Leaf("alice", urls)
	for _, r := range []trust.Revocation{trust.RevocationOff, trust.RevocationSoft, trust.RevocationHard} {
		v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Revocation: r, CRLs: lists(ca.CRL(1, nil))})
		for _, presented := range []certs{leaf.Presented(), {leaf.Cert}, untrusted.Presented()} {
			_, err := v.Verify(context.Background(), presented)
			reasonOf(t, err)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// Untrusted certificates are not kept, however many different ones arrive.
// Covers H9.
func TestUnknownIssuersTakeNoMemory(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	ca := testpki.NewCA("Client CA")
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(ca.CRL(1, nil))})
	key := testpki.NewKey()
	untrusted := func(i int) certs {
		return testpki.Make(nil, key, &x509.Certificate{
			Subject: pkix.Name{CommonName: fmt.Sprint("untrusted ", i)}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, ExtraExtensions: []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 99999, 2}, Value: make([]byte, 12<<10)}},
		}).Presented()
	}
	expect(t, v, untrusted(0), reason.UnknownAuthority)
	before := heap()
	for i := range 300 {
		presented := untrusted(i)
		expect(t, v, presented, reason.UnknownAuthority)
		expect(t, v, append(presented, ca.Cert), reason.UnknownAuthority)
	}
	// The loop has verified 4 MB of certificates and as much again in parsed names.
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	if n := v.Remembered(); n != 0 {
		t.Errorf("%d results are kept", n)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
