package outbound_test

import (
	"crypto/tls"
	"net/http"
	"strconv"
	"testing"

	"github.com/mtlsguard/mtlsguard/outbound"
)

// BenchmarkCall compares calls on one connection through a plain http.Transport with the same
// certificate and through this package.
func BenchmarkCall(b *testing.B) {
	for _, v := range versions[1:3] {
		s := serve(b, func(http.ResponseWriter, *http.Request) {}, v.options...)
		w := newFixture(b, "alice")
		pair := clientCA.Leaf("alice").TLS()
		plain := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: serverCA.Pool(), Certificates: []tls.Certificate{pair}}}
		b.Cleanup(plain.CloseIdleConnections)
		for _, row := range []struct {
			name      string
			transport http.RoundTripper
		}{{"plain", plain}, {"outbound", w.transport()}} {
			b.Run(v.name+"/"+row.name, func(b *testing.B) {
				r, err := http.NewRequestWithContext(outbound.As(b.Context(), "alice"), "GET", s.URL, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := read(row.transport.RoundTrip(r)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkChoose measures the steps before net/http: the choice of the context, the keystore,
// the validity, and one of 256 pools.
func BenchmarkChoose(b *testing.B) {
	w := newFixture(b)
	var aliases []string
	pair := clientCA.Leaf("someone")
	for i := range 256 {
		aliases = append(aliases, "client-"+strconv.Itoa(i))
		w.put(w.credential(aliases[i], pair))
	}
	transport := w.transport()
	requests := make([]*http.Request, len(aliases))
	for i, a := range aliases {
		r, err := http.NewRequestWithContext(outbound.As(b.Context(), a), "GET", "https://api.partner.example/orders/7", nil)
		if err != nil {
			b.Fatal(err)
		}
		if requests[i] = r; transport.Choose(r) != nil {
			b.Fatal("no pool")
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := transport.Choose(requests[i&255]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
