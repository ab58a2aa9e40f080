package middleware_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/identitykey"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// capture returns a request as the handler of a server gets it, with a connection that stays
// open until the test ends. A benchmark calls a guard with it a million times without a
// network.
func capture(tb testing.TB, port *ports.Port, p *testpki.Pair) *http.Request {
	tb.Helper()
	arrived, done := make(chan *http.Request, 1), make(chan struct{})
	serve(tb, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r
		<-done
	}), port)
	c := dial(tb, port, p, false)
	c.http.Timeout = 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r, err := http.NewRequestWithContext(context.Background(), "GET", c.url+"/orders/17", nil)
		if err != nil {
			return
		}
		if res, err := c.http.Do(r); err == nil {
			res.Body.Close()
		}
	}()
	tb.Cleanup(func() { close(done); <-ended })
	return <-arrived
}

// discard is a ResponseWriter that discards the body.
type discard struct {
	h      http.Header
	status int
}

func (d *discard) Header() http.Header {
	if d.h == nil {
		d.h = http.Header{}
	}
	return d.h
}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

var now time.Time // keeps the compiler from removing a clock read

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func TestAllocations(t *testing.T) {
	port := newPort(t, "p", ports.Request)
	r := capture(t, port, shared().alice)
	h := newGuard(t).Handler(nothing)
	w := &discard{}
	h.ServeHTTP(w, r) // the connection has a cached caller from here on
	if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n > 1 {
		t.Errorf("%v allocations for an allowed request on a connection with a cached caller, want 1", n)
	}
}

// BenchmarkManyCallers measures the guard's own time for requests of 10,000 users at random,
// each on a connection of their own, with a policy and mappings of the same size. "one" is
// one of them again and again.
func BenchmarkManyCallers(b *testing.B) {
	const users = 10_000
	port, w := newPort(b, "p", ports.Request), shared()
	key := must[*ecdsa.PrivateKey](b)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	var text strings.Builder
	mappings := make([]certmap.Mapping, users)
	requests := make([]*http.Request, users)
	for i := range users {
		fmt.Fprintf(&text, "p, group:g%d, *, GET, /orders/%d/{id}, allow\ng, user:u%d, group:g%d\n", i, i, i, i)
		leaf := w.ca.LeafWithKey(fmt.Sprint("u", i), key).Cert
		mappings[i] = certmap.Mapping{ID: fmt.Sprint("m", i), User: fmt.Sprint("u", i), Fingerprint: trust.FingerprintOf(leaf)}
		r := must[*http.Request](b)(http.NewRequest("GET", fmt.Sprintf("/orders/%d/17", i), nil))
		ctx := must[context.Context](b)(connstate.Simulate(context.Background(), port, connstate.Client{Certificates: []*x509.Certificate{leaf}, ServerName: "localhost"}))
		r.RequestURI, r.Host, r.TLS = r.URL.Path, "localhost", &tls.ConnectionState{}
		r.Header = http.Header{"User-Agent": {"bench"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip"}}
		requests[i] = r.WithContext(ctx)
	}
	table := must[*certmap.Table](b)(certmap.New(mappings...))
	engine := must[*policy.Engine](b)(policy.Load("policy.csv", strings.NewReader(text.String())))
	g := newGuard(b, func(c *middleware.Config) { c.Map, c.Policy = table, engine })
	h, answer := g.Handler(nothing), &discard{}
	for _, r := range requests {
		if o := g.Check(r); !o.Allowed { // each connection has a cached caller from here on
			b.Fatal(o.Reason, o.Detail)
		}
	}
	for name, step := range map[string]int{"one": 0, "random": 7919} { // a prime
		b.Run(name, func(b *testing.B) {
			testkit.Fastest(b, func(i int) { h.ServeHTTP(answer, requests[i*step%users]) })
		})
	}
}

// BenchmarkHandler measures the guard's own time for a request on a connection with a cached
// caller. The floor is the cost of any such guard: a clock read, an identity in the context
// and a request with this context.
func BenchmarkHandler(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		r, w, id := capture(b, newPort(b, "p", ports.Request), shared().alice), &discard{}, &identity.Identity{}
		testkit.Fastest(b, func(int) {
			now = time.Now()
			nothing.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identitykey.Key{}, id)))
		})
	})
	for _, x := range []struct {
		name   string
		holder string
		change func(*middleware.Config)
	}{
		{"allowed", "alice", func(*middleware.Config) {}},
		{"one quota", "alice", func(c *middleware.Config) { c.Quotas = manyQuotas(1) }},
		{"ten quotas", "alice", func(c *middleware.Config) { c.Quotas = manyQuotas(10) }},
		{"default", "", func(c *middleware.Config) { c.Fallback = middleware.ToDefault }},
		{"observed", "alice", func(c *middleware.Config) { c.Observe = func(*http.Request, middleware.Outcome) {} }},
		{"denied", "alice", func(c *middleware.Config) { c.Policy = newPolicy(b, "p, user:bob, *, *, /*, allow") }},
		{"strict", "", func(*middleware.Config) {}},
	} {
		b.Run(x.name, func(b *testing.B) {
			r := capture(b, newPort(b, "p", ports.Request), shared().pairs[x.holder])
			h := newGuard(b, x.change).Handler(nothing)
			w := &discard{}
			testkit.Fastest(b, func(int) { h.ServeHTTP(w, r) })
		})
	}
}

// manyQuotas returns quotas that refuse nothing at the speed of a benchmark.
func manyQuotas(n int) []middleware.Quota {
	var out []middleware.Quota
	for i := range n {
		out = append(out, middleware.Quota{Name: fmt.Sprint("q", i), Path: "/orders/*", Requests: 1_000_000_000, Interval: 1000 * time.Second, Burst: 1_000_000_000})
	}
	return out
}
