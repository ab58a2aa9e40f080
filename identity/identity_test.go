package identity_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/identitykey"
)

// newContext returns a context with an identity, as the guard does.
func newContext(ctx context.Context, id *identity.Identity) context.Context {
	return context.WithValue(ctx, identitykey.Key{}, id)
}

// Covers L5.
func TestFromContextReturnsACopy(t *testing.T) {
	t.Parallel()
	type contextKey struct{}
	alice := &identity.Identity{User: "alice", Groups: []string{"a", "b"}, Via: identity.TLS}
	for name, ctx := range map[string]context.Context{
		"nothing":     context.Background(),
		"nil":         newContext(context.Background(), nil),
		"another key": context.WithValue(context.Background(), contextKey{}, alice),
		//lint:ignore SA1029 this is what must not work
		"a text for key": context.WithValue(context.Background(), "identity", alice),
	} {
		if id, ok := identity.FromContext(ctx); ok || id.User != "" {
			t.Errorf("%s: got %+v", name, id)
		}
	}
	ctx := newContext(context.Background(), alice)
	id, ok := identity.FromContext(ctx)
	if !ok || id.User != "alice" {
		t.Errorf("got %+v, want alice", id)
	}
	id.User, id.Groups[0] = "root", "admin"
	_ = append(id.Groups[:1], "admin")
	if again, _ := identity.FromContext(ctx); again.User != "alice" || !slices.Equal(again.Groups, []string{"a", "b"}) {
		t.Errorf("changed: %+v", again)
	}
}

// Covers L4.
func TestRequiredRefusesWithoutAGuard(t *testing.T) {
	t.Parallel()
	h := identity.Required(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") }))
	for name, x := range map[string]struct {
		ctx  context.Context
		code int
	}{
		"none":      {context.Background(), 500},
		"nil":       {newContext(context.Background(), nil), 500},
		"Default":   {newContext(context.Background(), &identity.Identity{User: identity.Default}), 200},
		"alice":     {newContext(context.Background(), &identity.Identity{User: "alice"}), 200},
		"set twice": {newContext(newContext(context.Background(), &identity.Identity{User: "alice"}), nil), 500},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(x.ctx, "GET", "/", nil))
		if w.Code != x.code || strings.Contains(w.Body.String(), "served") != (x.code == 200) {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
}

// Covers L7.
func TestLogValueContainsNothingFromTheCaller(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("x", "id", identity.Identity{User: "alice", Port: "p", Via: identity.TLS, MappingID: "m", Fingerprint: "ab", Groups: []string{"g"}})
	for _, want := range []string{"id.user=alice", "id.port=p", "id.via=tls", "id.mapping=m", "id.fingerprint=ab"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in %s", want, out.String())
		}
	}
	out.Reset()
	log.Info("x", "id", identity.Identity{User: identity.Default, Via: identity.ViaAnonymous})
	if strings.Contains(out.String(), "mapping") || strings.Contains(out.String(), "fingerprint") {
		t.Error(out.String())
	}
}
