package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// ownServer serves the ports of an opened server as a program with its own http.Server does.
func ownServer(tb testing.TB, s *mtlsguard.Server, h http.Handler) {
	for _, p := range s.Ports() {
		l, err := p.Listen(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		srv := &http.Server{Handler: s.Handler(h)}
		if err := p.Configure(srv); err != nil {
			tb.Fatal(err)
		}
		go srv.Serve(l)
		tb.Cleanup(func() { srv.Close() })
	}
}

// A program with its own http.Server has all that Serve has, by Run: files are watched, and
// the server becomes ready.
func TestRunWatchesForAProgramThatServes(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	s.put("users.yaml", strings.Replace(siteUsers, "subject: \"CN=alice\"", "subject: \"CN=nobody\"", 1))
	drained := make(chan struct{})
	server, err := mtlsguard.Open(s.path(config), mtlsguard.Options{OnDrain: func() { close(drained) }})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(when string, code int, part string) {
		t.Helper()
		if got, why := ready(server); got != code || !strings.Contains(why, part) {
			t.Errorf("%s: got %d %s, want %d %q", when, got, why, code, part)
		}
	}
	expect("before all", 503, "the ports are not open")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	testkit.Eventually(t, "Run is running", func() bool { _, why := ready(server); return strings.Contains(why, "port internal is not open") })
	if err := server.Serve(t.Context(), s.handler); err == nil || !strings.Contains(err.Error(), "running already") {
		t.Errorf("Serve beside Run: %v", err)
	}
	ownServer(t, server, s.handler)
	expect("with its ports", 200, "ready")
	l := &live{site: s, server: server}
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); !strings.HasPrefix(got, "403 ") {
		t.Errorf("before the change: %s", got)
	}
	s.put("users.yaml", siteUsers)
	l.waitFor("the changed file takes effect", func() string { return get(s.client(s.alice), l.url("internal", "/whoami")) }, "200 alice")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-drained
	expect("at the end", 503, "neither Serve nor Run is running")
}

// Both sides of a tunnel run in programs with their own http.Server: servers register, and
// requests reach the handler of Handler.
func TestTunnelsRunUnderTheProgramsOwnServers(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	outer, err := mtlsguard.Open(d.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ownServer(t, outer, http.NotFoundHandler())
	l := &live{site: d.site, server: outer}
	d.registrations = strings.TrimPrefix(l.url("registrations", ""), "https://")
	s := d.inside()
	inner, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := inner.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "call Server.Handler before Run") {
		t.Errorf("Run without a handler: %v", err)
	}
	inner.Handler(s.handler)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for _, server := range []*mtlsguard.Server{outer, inner} {
		go func() { ended <- server.Run(ctx) }()
	}
	l.waitFor("a request through the tunnel", func() string { return get(d.client(d.alice), l.url("external", "/whoami")) }, "200 alice tunnel tunnel")
	if code, why := ready(inner); code != 200 {
		t.Errorf("the inner server is not ready: %s", why)
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
