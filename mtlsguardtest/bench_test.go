package mtlsguardtest_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
)

// A server of a test, from the first key to the end, with one request. Its rival is httptest's,
// which makes no certificates and has no guard.
func BenchmarkServerOfATest(b *testing.B) {
	get := func(b *testing.B, c *http.Client, url string) {
		res, err := c.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	b.Run("mtlsguardtest", func(b *testing.B) {
		for b.Loop() {
			record(b, func(t testing.TB) {
				s := mtlsguardtest.NewServer(t, whoami)
				get(b, s.Client("alice"), s.URL+"/orders/7")
			})
		}
	})
	b.Run("httptest", func(b *testing.B) {
		for b.Loop() {
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.EnableHTTP2, s.TLS = true, &tls.Config{MinVersion: tls.VersionTLS13}
			s.StartTLS()
			get(b, s.Client(), s.URL+"/orders/7")
			s.Close()
		}
	})
	b.Run("Request", func(b *testing.B) {
		for b.Loop() {
			mtlsguardtest.Request(b, "GET", "/orders/7", "alice")
		}
	})
}
