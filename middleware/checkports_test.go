package middleware_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Covers L13.
func TestMistypedPortInPerPortIsAnError(t *testing.T) {
	t.Parallel()
	named := func(names ...string) func(*middleware.Config) {
		return func(c *middleware.Config) {
			c.PerPort = map[string]middleware.PortConfig{}
			for _, n := range names {
				c.PerPort[n] = middleware.PortConfig{Fallback: middleware.ToDefault}
			}
		}
	}
	declared := func(names ...string) func(*middleware.Config) {
		return func(c *middleware.Config) { c.Ports = names }
	}
	for _, x := range []struct {
		name   string
		change []func(*middleware.Config)
		wrong  string // in the error; "" if Serve succeeds
	}{
		{"no PerPort", nil, ""},
		{"a right name", []func(*middleware.Config){named("internal")}, ""},
		{"mistyped", []func(*middleware.Config){named("intrenal")}, `"intrenal"`},
		{"another case", []func(*middleware.Config){named("Internal")}, `"Internal"`},
		{"one right name, one of another server", []func(*middleware.Config){named("internal", "public")}, ""},
		{"declared", []func(*middleware.Config){named("public"), declared("internal", "public")}, ""},
		{"served and not declared", []func(*middleware.Config){declared("public")}, `"internal"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			port := newPort(t, "internal", ports.Request)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			guard, handler := newGuard(t, x.change...), http.NotFoundHandler()
			server := &ports.Server{Handler: guard.Handler(handler), Ports: []*ports.Port{port}, Ready: cancel}
			err := server.Serve(ctx)
			if parts := (&ports.Server{Handler: guard.Identify(guard.Authorize(handler)), Ports: []*ports.Port{port}}).Serve(ctx); x.wrong != "" && parts == nil {
				t.Error("Identify is not checked")
			}
			if x.wrong == "" && err != nil || x.wrong != "" && (err == nil || !strings.Contains(err.Error(), x.wrong)) {
				t.Errorf("Serve: %v, want an error that names %s", err, x.wrong)
			}
		})
	}
	c := config(t, named("intrenal"), declared("internal"))
	if _, err := middleware.New(c); err == nil || !strings.Contains(err.Error(), `"intrenal"`) {
		t.Errorf("New: %v", err)
	}
	guard := newGuard(t, named("internal", "public"))
	if err := guard.CheckPorts(newPort(t, "internal", ports.None)); err == nil || !strings.Contains(err.Error(), `"public"`) {
		t.Errorf("CheckPorts: %v", err)
	}
}
