package e2e

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Serving without a handler is an error, before a port is open.
func TestServeWithoutAHandlerIsAnError(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	address := testkit.FreeAddress(t)
	s.sub(config, "listen: 127.0.0.1:0", "listen: "+address)
	server, err := mtlsguard.Open(s.path(config), mtlsguard.Options{Ready: func() { t.Error("ready") }})
	if err != nil {
		t.Fatal(err)
	}
	own := func(guarded http.Handler) func(context.Context) error {
		return func(ctx context.Context) error { return ports.Serve(ctx, guarded, server.Ports()...) }
	}
	guard := server.Guard()
	for name, serve := range map[string]func(context.Context) error{
		"Serve":            func(ctx context.Context) error { return server.Serve(ctx, nil) },
		"Serve, nil func":  func(ctx context.Context) error { return server.Serve(ctx, http.HandlerFunc(nil)) },
		"Handler":          own(server.Handler(nil)),
		"Handler of guard": own(guard.Handler(nil)),
		"nil func":         own(guard.Handler(http.HandlerFunc(nil))),
		"Identify":         own(guard.Identify(nil)),
	} {
		if err := serve(t.Context()); err == nil || !strings.Contains(err.Error(), "handler") {
			t.Errorf("%s: got %v, want an error about the handler", name, err)
		}
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("a port is open")
	}
}

// Behind a handler of the program's own nothing is checked at the start. Every request is then a 500.
func TestGuardOfNoHandlerAnswers500(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	guard := server.Guard()
	for name, h := range map[string]http.Handler{"Handler": guard.Handler(nil), "Identify": guard.Identify(nil), "Authorize": guard.Identify(guard.Authorize(nil))} {
		ready := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		own := &ports.Server{Handler: http.HandlerFunc(h.ServeHTTP), Ports: server.Ports(), Ready: func() { close(ready) }}
		go func() { ended <- own.Serve(ctx) }()
		<-ready
		if got := get(s.client(s.alice), "https://"+server.Ports()[0].Addr().String()+"/whoami"); got != "500" {
			t.Errorf("%s: got %s, want 500", name, got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
