package tunnel_test

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/tunnel"
)

func TestContext(t *testing.T) {
	t.Parallel()
	if _, ok := tunnel.FromContext(t.Context()); ok {
		t.Error("a caller in an empty context")
	}
	if _, ok := tunnel.FromContext(tunnel.NewContext(t.Context(), nil)); ok {
		t.Error("a nil caller is returned")
	}
	c := &tunnel.Caller{Port: "tunnel"}
	if got, ok := tunnel.FromContext(tunnel.NewContext(t.Context(), c)); !ok || got != c {
		t.Errorf("got %+v, %t", got, ok)
	}
}
