package e2e

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// ready asks the readiness of a server, as a probe does.
func ready(s *mtlsguard.Server, options ...mtlsguard.ReadinessOption) (int, string) {
	w := httptest.NewRecorder()
	s.Readiness(options...).ServeHTTP(w, httptest.NewRequest("GET", "/ready", nil))
	return w.Code, w.Body.String()
}

// A server that can serve is ready, and degraded where its files are wrong or its CRL is late.
// Covers L11.
func TestReadiness(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	unopened, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if code, why := ready(unopened); code != 503 || !strings.Contains(why, "not open") {
		t.Errorf("before Serve: %d %s", code, why)
	}
	var now testkit.Clock
	l := s.start(mtlsguard.Options{Now: now.Now})
	expect := func(when string, want int, part string) {
		t.Helper()
		code, why := ready(l.server)
		if code != want || !strings.Contains(why, part) || l.server.Status().Ready() != (want == 200) {
			t.Errorf("%s: got %d %s, want %d %q", when, code, why, want, part)
		}
		degraded := strings.HasPrefix(part, "degraded: ")
		if got := l.server.Status().Degraded; (len(got) > 0) != degraded {
			t.Errorf("%s: degraded %q", when, got)
		}
		strict := want
		if degraded {
			strict = 503
		}
		if code, why := ready(l.server, mtlsguard.Strict); code != strict || !strings.Contains(why, part) {
			t.Errorf("%s, strict: %d %s", when, code, why)
		}
	}
	expect("at first", 200, "ready")
	for _, name := range []string{"ca.pem", "ca.crl", "users.yaml", "policy.csv", config} {
		good := s.get(name)
		if err := os.Remove(s.path(name)); err != nil {
			t.Fatal(err)
		}
		_ = l.server.Reload()
		expect("without "+name, 200, "degraded: the last reload failed")
		failed := l.server.Status().Failed
		if !hasConfigError(failed, s.path(name), 0, "cannot be read") {
			t.Errorf("without %s: %v", name, failed)
		}
		failed[0].What = "changed by the caller"
		if l.server.Status().Failed[0].What == failed[0].What {
			t.Error("a caller can change what Status returns")
		}
		s.put(name, good)
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
		expect("with "+name, 200, "ready")
		if failed := l.server.Status().Failed; len(failed) > 0 {
			t.Errorf("with %s: %v", name, failed)
		}
	}
	s.sub(config, "client_cert: require", "client_cert: request")
	_ = l.server.Reload()
	expect("with a change that needs a restart", 200, "degraded: the last reload failed")
	if len(l.server.Status().Failed) == 0 {
		t.Error("Status does not name the failed reload")
	}
	s.sub(config, "client_cert: request", "client_cert: require")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	now.Advance(25 * time.Hour)
	expect("with a CRL past its next update", 200, "degraded: port internal: a CRL is past its next update")
	if got := get(s.client(s.ca.Leaf("alice", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(72 * time.Hour) })), l.url("internal", "/whoami")); got != "refused" {
		t.Errorf("with a CRL past its next update: %s, want refused", got)
	}
	s.put("ca.crl", crlPEM(s.ca.CRL(2, nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(72 * time.Hour) })))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	expect("with the next CRL", 200, "ready")
	l.end()
	expect("when it has ended", 503, "not open")
}

// hangingFetch changes a running site so that its next reload fetches a CRL from a server
// that never answers. It returns when the fetch has begun, and a function that undoes the
// change of the file.
func (l *live) hangingFetch() (undo func()) {
	l.Helper()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.Fatal(err)
	}
	begun := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			l.Cleanup(func() { c.Close() })
			if first {
				close(begun)
			}
		}
	}()
	l.Cleanup(func() { silent.Close() })
	before := l.get(config)
	l.sub(config, "crls: [ca.crl]", fmt.Sprintf("crls: [ca.crl, new.crl]\n      fetch: [{url: 'http://%s/new.crl', file: new.crl}]", silent.Addr()))
	select {
	case <-begun:
	case <-time.After(testkit.Patience):
		l.Fatal("no fetch began")
	}
	return func() { l.put(config, before) }
}

// A reload that hangs in a fetch delays neither Status, requests, Explain, Reload nor the
// end of the server.
//
// Covers L11.
func TestSlowReloadDoesNotHoldStatusOrTheEnd(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	l := s.start(mtlsguard.Options{})
	undo := l.hangingFetch()
	within := func(what string, f func()) {
		t.Helper()
		done := make(chan struct{})
		go func() { defer close(done); f() }()
		select {
		case <-done:
		case <-time.After(20 * time.Second): // a fetch may last 30 s
			t.Fatalf("%s waits for the reload", what)
		}
	}
	within("Status", func() {
		if code, why := ready(l.server); code != 200 {
			t.Errorf("got %d %s, want 200", code, why)
		}
	})
	within("a request", func() {
		if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "200 alice" {
			t.Error(got)
		}
	})
	within("Explain", func() {
		x, err := l.server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "internal", Path: "/whoami", Certificates: s.alice.Presented()})
		if err != nil || !x.Allowed {
			t.Errorf("got %+v, %v; want an allowed request", x, err)
		}
	})
	undo()
	s.sub("users.yaml", "user: alice", "user: alicia")
	within("Reload", func() {
		if err := l.server.Reload(); err != nil {
			t.Error(err)
		}
	})
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "200 alicia" {
		t.Errorf("after Reload: %s, want 200 alicia", got)
	}
	if failed := l.log.find("event", "reload", "outcome", "failed"); len(failed) > 0 {
		t.Errorf("the reload that Reload has replaced is logged: %v", failed)
	}
	l.hangingFetch()
	within("the end", l.end)
}

// Status is safe for concurrent use.
// Covers L11.
func TestStatusWhileServingAndReloading(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	ctx, stop := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	for range 2 {
		busy.Go(func() {
			var last mtlsguard.Status
			for ctx.Err() == nil {
				now := l.server.Status()
				if now.Generation < last.Generation || now.Since.Before(last.Since) {
					t.Errorf("%+v after %+v", now, last)
				}
				if i := 0; len(last.Ports) > 0 && now.Ports[i].Allowed < last.Ports[i].Allowed {
					t.Error("a counter goes back")
				}
				last = now
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	var asked atomic.Uint64
	for _, c := range []*http.Client{s.client(s.alice), s.client(s.alice, testkit.HTTP2)} {
		busy.Go(func() {
			for ctx.Err() == nil {
				if got := get(c, l.url("internal", "/whoami")); got != "200 alice" {
					t.Error(got)
					return
				}
				asked.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	for i := range 20 {
		s.put("ca.crl", s.crl(int64(i+2)))
		if i%5 == 4 {
			s.put("policy.csv", "garbage")
			if l.server.Reload() == nil {
				t.Error("garbage is loaded")
			}
			s.put("policy.csv", sitePolicy)
		}
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	busy.Wait()
	if got := status(l, "internal").Allowed; got != asked.Load() {
		t.Errorf("%d allowed, %d counted", asked.Load(), got)
	}
}

// Settings that make TLS or certificates weaker are logged at the start, and do not lower the
// protocol version.
// Covers L12, A22.
func TestWeakGODEBUGSettingsAreWarnings(t *testing.T) {
	t.Parallel()
	binary := serverBinary(t)
	for _, row := range []struct {
		godebug  string
		warnings int
	}{
		{"", 0}, {"madvdontneed=1", 0}, {"tlssha1=0", 0}, {"tlssha1=1,tlssha1=0", 0}, {"tlssha1=0,tlssha1=1", 1},
		{"tlssha1=1", 1}, {"tls3des=1,tlsrsakex=1", 2}, {"x509negativeserial=1", 1}, {"rsa1024min=0", 1}, {"rsa1024min=1", 0},
	} {
		log := newSite(t).run(binary, row.godebug)
		if got := strings.Count(log, "GODEBUG has "); got != row.warnings {
			t.Errorf("%q: %d warnings, want %d:\n%s", row.godebug, got, row.warnings, log)
		}
	}
}

// A program may be built with such a setting, and its environment may override it.
// Covers L12.
func TestWeakGODEBUGSettingsOfTheBuildAreWarnings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	s.put("debug.go", "//go:debug tlssha1=1\n\npackage main\n")
	s.put("overlay.json", fmt.Sprintf(`{"Replace": {%q: %q}}`, filepath.Join(here, "../examples/server/debug.go"), s.path("debug.go")))
	if err := build(s.path("server"), "../examples/server", "-overlay", s.path("overlay.json")); err != nil {
		t.Fatal(err)
	}
	for godebug, warnings := range map[string]int{"": 1, "tlssha1=0": 0} {
		if log := s.run(s.path("server"), godebug); strings.Count(log, "GODEBUG has tlssha1=1") != warnings {
			t.Errorf("%q: got the log %s; want %d warnings", godebug, log, warnings)
		}
	}
}

// run starts a server program until it is ready, and returns its log.
func (s *site) run(binary, godebug string) string {
	s.Helper()
	cmd := exec.Command(binary, "-config", s.path(config))
	cmd.Env = append(os.Environ(), "GODEBUG="+godebug)
	out, err := cmd.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	log := ""
	for buf := make([]byte, 4096); !strings.Contains(log, `"msg":"ready"`); {
		n, err := out.Read(buf)
		log += string(buf[:n])
		if err != nil {
			s.Errorf("%q: the server's output: %v", godebug, err)
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return log
}
