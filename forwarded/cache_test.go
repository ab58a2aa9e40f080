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

// A chain that is kept for one leaf is not the next one's, and what was refused is
// not kept.
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
		{header("Client-Cert", sequence(w.other.Cert)), "unknown-authority", 0},
		{header("Client-Cert", "x"), "bad-header", 0},
		{nil, "no-certificate", 0},
		{header("Client-Cert", dave), "unknown-authority", 0},
		{header("Client-Cert", dave, "Client-Cert-Chain", sequences(w.dave.Chain)), "dave", 1},
		{header("Client-Cert", dave, "Client-Cert-Chain", sequences(w.dave.Chain)), "dave", 1},
		{header("Client-Cert", dave), "unknown-authority", 1},
		{header("Client-Cert", dave, "Client-Cert-Chain", sequence(w.dave.Chain[0])), "unknown-authority", 1},
		{header("Client-Cert", carol, "Client-Cert-Chain", sequences(w.dave.Chain)), "carol", 2},
		{header("Client-Cert", carol, "Client-Cert-Chain", sequences(w.carol.Chain)), "carol", 2},
		{header("Client-Cert", carol, "Client-Cert-Chain", sequences(w.carol.Chain)+"x"), "bad-header", 2},
	} {
		if got := ask(t, r, x.h); got != x.want || r.Cached() != x.kept {
			t.Errorf("%.80v: %s and %d kept, want %s and %d", x.h, got, r.Cached(), x.want, x.kept)
		}
	}
	for i := range 40 {
		name := fmt.Sprint("user ", i)
		if got := ask(t, r, header("Client-Cert", sequence(w.ca.Leaf(name).Cert))); got != name || r.Cached() > 8 {
			t.Fatalf("%s, and %d are kept", got, r.Cached())
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
					who := []*testpki.Pair{w.alice, w.bob, w.alice}[(i+j)%3]
					if got := ask(t, r, p.state(who.Presented())); got != who.Cert.Subject.CommonName {
						t.Errorf("%s: %s", name, got)
						return
					}
				}
			})
		}
		all.Wait()
	}
}

// request is a request of ordinary size, with a statement in it.
func request(p gatewayOf, who *testpki.Pair) http.Header {
	h := p.state(who.Presented())
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
		who := w.alice
		if p.chains {
			who = w.dave
		}
		b.Run(name, func(b *testing.B) {
			r, h, ctx := receiver(b, p.topology()), request(p, who), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Verify(ctx, r.Read(h, nil)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUncached reads and verifies as if nothing were kept, with users of a trust
// that keeps what it believed all the same.
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

// Covers A23: what the client sends beside its leaf, and its gateway passes on, makes no
// more entries.
func TestIssuersChosenByTheClientDoNotFillTheCache(t *testing.T) {
	t.Parallel()
	w := shared()
	key := testpki.NewKey()
	for name, p := range products {
		if !p.chains {
			continue
		}
		r := receiver(t, p.topology())
		for i := range 50 {
			junk := testpki.Make(nil, key, &x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprint("junk ", i)}, IsCA: true, BasicConstraintsValid: true})
			if got := ask(t, r, p.state(append(w.dave.Presented(), junk.Cert))); got != "dave" {
				t.Fatalf("%s: %s", name, got)
			}
			if n := r.Cached(); n > 4 {
				t.Fatalf("%s: %d statements of one leaf are kept", name, n)
			}
		}
	}
}
