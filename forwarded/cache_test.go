package forwarded_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// A cached chain is used for its own leaf only, and refusals are not cached.
func TestOnlyVerifiedCertificatesAreCached(t *testing.T) {
	t.Parallel()
	w := shared()
	r := receiver(t, forwarded.RFC9440(), func(c *forwarded.Config) { c.Cache = 8 })
	dave, carol := sequence(w.dave.Cert), sequence(w.carol.Cert)
	for _, x := range []struct {
		h    http.Header
		want string
		kept int
	}{
		{newHeader("Client-Cert", sequence(w.other.Cert)), "unknown-authority", 0},
		{newHeader("Client-Cert", "x"), "bad-header", 0},
		{nil, "no-certificate", 0},
		{newHeader("Client-Cert", dave), "unknown-authority", 0},
		{newHeader("Client-Cert", dave, "Client-Cert-Chain", sequences(w.dave.Chain)), "dave", 1},
		{newHeader("Client-Cert", dave, "Client-Cert-Chain", sequences(w.dave.Chain)), "dave", 1},
		{newHeader("Client-Cert", dave), "unknown-authority", 1},
		{newHeader("Client-Cert", dave, "Client-Cert-Chain", sequence(w.dave.Chain[0])), "unknown-authority", 1},
		{newHeader("Client-Cert", carol, "Client-Cert-Chain", sequences(w.dave.Chain)), "carol", 2},
		{newHeader("Client-Cert", carol, "Client-Cert-Chain", sequences(w.carol.Chain)), "carol", 2},
		{newHeader("Client-Cert", carol, "Client-Cert-Chain", sequences(w.carol.Chain)+"x"), "bad-header", 2},
	} {
		if got := verifyHeaders(t, r, x.h); got != x.want || r.Cached() != x.kept {
			t.Errorf("%.80v: %s and %d cached, want %s and %d", x.h, got, r.Cached(), x.want, x.kept)
		}
	}
	for i := range 40 {
		name := fmt.Sprint("user ", i)
		if got := verifyHeaders(t, r, newHeader("Client-Cert", sequence(w.ca.Leaf(name).Cert))); got != name || r.Cached() > 8 {
			t.Fatalf("%s, and %d are cached", got, r.Cached())
		}
	}
}

func TestReceiverIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, p := range products {
		r := receiver(t, p.topology(), func(c *forwarded.Config) { c.Cache = 2 })
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 50 {
					pair := []*testpki.Pair{w.alice, w.bob, w.alice}[(i+j)%3]
					if got := verifyHeaders(t, r, p.encode(pair.Presented())); got != pair.Cert.Subject.CommonName {
						t.Errorf("%s: %s, want %s", name, got, pair.Cert.Subject.CommonName)
						return
					}
				}
			})
		}
		all.Wait()
	}
}

// request returns the headers of a typical request with a forwarded certificate.
func request(p product, pair *testpki.Pair) http.Header {
	h := p.encode(pair.Presented())
	for _, name := range []string{"Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "Content-Type", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "Traceparent", "Cookie"} {
		h[name] = []string{"an ordinary value of an ordinary header"}
	}
	return h
}

func TestCachedCertificatesAllocateNothing(t *testing.T) {
	w := shared()
	for name, p := range products {
		r, h := receiver(t, p.topology()), request(p, w.alice)
		once := func() {
			if _, err := r.Verify(t.Context(), r.Read(h, nil)); err != nil {
				t.Fatal(err)
			}
		}
		once()
		if n := testing.AllocsPerRun(100, once); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkCached(b *testing.B) {
	w := shared()
	for _, name := range forwarded.Formats() {
		p := products[name]
		pair := w.alice
		if p.sendsIssuers {
			pair = w.dave
		}
		b.Run(name, func(b *testing.B) {
			r, h, ctx := receiver(b, p.topology()), request(p, pair), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Verify(ctx, r.Read(h, nil)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUncached parses and verifies without the Receiver's cache; the verifier still has
// its own.
func BenchmarkUncached(b *testing.B) {
	w := shared()
	for _, name := range forwarded.Formats() {
		p := products[name]
		b.Run(name, func(b *testing.B) {
			r, ctx := receiver(b, p.topology(), func(c *forwarded.Config) { c.Cache = 1 }), b.Context()
			all := []http.Header{request(p, w.alice), request(p, w.bob)}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := r.Verify(ctx, r.Read(all[i%2], nil)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The issuers that a client sends and its gateway forwards add no entries to the cache.
// Covers A23.
func TestIssuersChosenByTheClientDoNotFillTheCache(t *testing.T) {
	t.Parallel()
	w := shared()
	key := testpki.NewKey()
	for name, p := range products {
		if !p.sendsIssuers {
			continue
		}
		r := receiver(t, p.topology())
		for i := range 50 {
			junk := testpki.Make(nil, key, &x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprint("junk ", i)}, IsCA: true, BasicConstraintsValid: true})
			if got := verifyHeaders(t, r, p.encode(append(w.dave.Presented(), junk.Cert))); got != "dave" {
				t.Fatalf("%s: %s, want dave", name, got)
			}
			if n := r.Cached(); n > 4 {
				t.Fatalf("%s: %d entries of one leaf are cached", name, n)
			}
		}
	}
}
