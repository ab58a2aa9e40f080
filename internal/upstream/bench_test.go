package upstream_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/identitykey"
	"github.com/mtlsguard/mtlsguard/internal/upstream"
)

// One small request through an Upstream to a service on a connection that is kept.
func BenchmarkForward(b *testing.B) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	b.Cleanup(service.Close)
	u := upstream.New(via(upstream.Address{Host: strings.TrimPrefix(service.URL, "http://")}))
	ctx := context.WithValue(b.Context(), identitykey.Key{}, &identity.Identity{User: "alice"})
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		if u.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
