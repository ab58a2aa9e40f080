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

// restore returns a function that sets the headers of a gateway again: the guard deletes
// them from the request.
func restore(h http.Header, pairs ...[2]string) func() {
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

// A request behind a gateway with a cached certificate allocates more than one on an
// ordinary port: the Vary header of its answer and the forwarded certificate.
func TestAllocationsBehindAGateway(t *testing.T) {
	r := capture(t, newGatewayPort(t, "gate", ports.Require), gatewayPKI().gateway)
	restoreHeaders := restore(r.Header, [2]string{"Client-Cert", sequence(shared().alice.Cert)})
	h, w := newGuard(t, withReceiver("gate", newReceiver(t), middleware.Strict)).Handler(nothing), &discard{}
	serve := func() {
		clear(w.h)
		restoreHeaders()
		h.ServeHTTP(w, r)
	}
	serve()
	if n := testing.AllocsPerRun(1000, serve); n > 5 {
		t.Errorf("%v allocations for a cached certificate on a connection with a cached caller, want at most 5", n)
	}
	if w.status != 0 {
		t.Errorf("answered %d, want 0", w.status)
	}
}

// BenchmarkForwarded measures the guard's own time for an allowed request behind a gateway,
// compared with the same caller on an ordinary port. "first" has no cached certificate.
func BenchmarkForwarded(b *testing.B) {
	alice := shared().alice
	der, pem := base64.StdEncoding.EncodeToString(alice.Cert.Raw), url.PathEscape(string(alice.CertPEM()))
	sub := shared().ca.SubCA("Sub CA")
	below := sub.LeafWithKey("alice", alice.Key)
	table := append(mappings(), certmap.Mapping{ID: "m-below", User: "alice", Fingerprint: trust.FingerprintOf(below.Cert)})
	for _, x := range []struct {
		name     string
		holder   *testpki.Pair
		topology forwarded.Topology // the zero value means an ordinary port
		headers  [][2]string
		fresh    bool
	}{
		{name: "ordinary port", holder: alice},
		{name: "ordinary port, a header to delete", holder: alice, headers: [][2]string{{"Client-Cert", ":" + der + ":"}}},
		{name: "rfc9440", holder: gatewayPKI().gateway, topology: forwarded.RFC9440(), headers: [][2]string{{"Client-Cert", ":" + der + ":"}}},
		{name: "nginx", holder: gatewayPKI().gateway, topology: forwarded.Nginx("", "X-SSL-Client-Verify"), headers: [][2]string{{"X-Ssl-Client-Cert", pem}, {"X-Ssl-Client-Verify", "SUCCESS"}}},
		{name: "haproxy", holder: gatewayPKI().gateway, topology: forwarded.HAProxy("", "X-SSL-Client-Verify"), headers: [][2]string{{"X-Ssl-Client-Cert", der}, {"X-Ssl-Client-Verify", "0"}}},
		{name: "rfc9440 with an issuer", holder: gatewayPKI().gateway, topology: forwarded.RFC9440(), headers: [][2]string{{"Client-Cert", sequence(below.Cert)}, {"Client-Cert-Chain", sequence(sub.Cert)}}},
		{name: "rfc9440, first", holder: gatewayPKI().gateway, topology: forwarded.RFC9440(), headers: [][2]string{{"Client-Cert", ":" + der + ":"}}, fresh: true},
	} {
		b.Run(x.name, func(b *testing.B) {
			r := capture(b, newGatewayPort(b, "gate", ports.Require), x.holder)
			settings := func() middleware.Config {
				c := config(b, func(c *middleware.Config) { c.Map = must[*certmap.Table](b)(certmap.New(table...)) })
				if x.holder != alice {
					withReceiver("gate", newReceiver(b, func(f *forwarded.Config) { f.Topology = x.topology }), middleware.Strict)(&c)
				}
				return c
			}
			guard := must[*middleware.Guard](b)(middleware.New(settings()))
			h, w, restoreHeaders := guard.Handler(nothing), &discard{}, restore(r.Header, x.headers...)
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
				restoreHeaders()
				h.ServeHTTP(w, r)
			}
			if w.status != 0 {
				b.Fatalf("answered %d, want 0", w.status)
			}
		})
	}
}
