package middleware_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// restated gives a request what its gateway states, as net/http would: the guard has
// deleted it.
func restated(h http.Header, pairs ...[2]string) func() {
	values := make([][]string, len(pairs))
	for i, p := range pairs {
		values[i] = []string{p[1]}
	}
	return func() {
		for i, p := range pairs {
			h[p[0]] = values[i]
		}
	}
}

// What a request behind a gateway allocates beyond one on an ordinary port, where the
// statement is known: the Vary of its answer, and what was heard.
func TestAllocationsBehindAGateway(t *testing.T) {
	r := capture(t, newGate(t, "gate", ports.Require), atTheEdge().gateway)
	state := restated(r.Header, [2]string{"Client-Cert", sequence(shared().alice.Cert)})
	h, w := newGuard(t, gated("gate", newReceiver(t), middleware.Strict)).Handler(nothing), &discard{}
	serve := func() {
		clear(w.h)
		state()
		h.ServeHTTP(w, r)
	}
	serve()
	if n := testing.AllocsPerRun(1000, serve); n > 5 {
		t.Errorf("%v allocations for a known statement on a known connection, want at most 5", n)
	}
	if w.status != 0 {
		t.Errorf("answered %d", w.status)
	}
}

// BenchmarkForwarded is the guard's own time for an allowed request behind a gateway,
// beside the same caller on a port of its own. "first" has never seen the statement.
func BenchmarkForwarded(b *testing.B) {
	alice := shared().alice
	der, pem := base64.StdEncoding.EncodeToString(alice.Cert.Raw), url.PathEscape(string(alice.CertPEM()))
	sub := shared().ca.SubCA("Sub CA")
	below := sub.LeafWithKey("alice", alice.Key)
	table := append(mappings(), certmap.Mapping{ID: "m-below", User: "alice", Fingerprint: trust.FingerprintOf(below.Cert)})
	for _, x := range []struct {
		name     string
		who      *testpki.Pair
		topology forwarded.Topology // the zero value: an ordinary port
		state    [][2]string
		fresh    bool
	}{
		{name: "ordinary port", who: alice},
		{name: "ordinary port, a header to delete", who: alice, state: [][2]string{{"Client-Cert", ":" + der + ":"}}},
		{name: "rfc9440", who: atTheEdge().gateway, topology: forwarded.RFC9440(), state: [][2]string{{"Client-Cert", ":" + der + ":"}}},
		{name: "nginx", who: atTheEdge().gateway, topology: forwarded.Nginx("", "X-SSL-Client-Verify"), state: [][2]string{{"X-Ssl-Client-Cert", pem}, {"X-Ssl-Client-Verify", "SUCCESS"}}},
		{name: "haproxy", who: atTheEdge().gateway, topology: forwarded.HAProxy("", "X-SSL-Client-Verify"), state: [][2]string{{"X-Ssl-Client-Cert", der}, {"X-Ssl-Client-Verify", "0"}}},
		{name: "rfc9440 with an issuer", who: atTheEdge().gateway, topology: forwarded.RFC9440(), state: [][2]string{{"Client-Cert", sequence(below.Cert)}, {"Client-Cert-Chain", sequence(sub.Cert)}}},
		{name: "rfc9440, first", who: atTheEdge().gateway, topology: forwarded.RFC9440(), state: [][2]string{{"Client-Cert", ":" + der + ":"}}, fresh: true},
	} {
		b.Run(x.name, func(b *testing.B) {
			r := capture(b, newGate(b, "gate", ports.Require), x.who)
			settings := func() middleware.Config {
				c := config(b, func(c *middleware.Config) { c.Map = must[*certmap.Table](b)(certmap.New(table...)) })
				if x.who != alice {
					gated("gate", newReceiver(b, func(f *forwarded.Config) { f.Topology = x.topology }), middleware.Strict)(&c)
				}
				return c
			}
			guard := must[*middleware.Guard](b)(middleware.New(settings()))
			h, w, state := guard.Handler(nothing), &discard{}, restated(r.Header, x.state...)
			b.ReportAllocs()
			for b.Loop() {
				if x.fresh {
					b.StopTimer()
					if err := guard.Reconfigure(settings()); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				clear(w.h)
				state()
				h.ServeHTTP(w, r)
			}
			if w.status != 0 {
				b.Fatalf("answered %d", w.status)
			}
		})
	}
}
