package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A configuration may be embedded in the program.
func TestOpenFS(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fsys := s.files()
	l := s.startWith(mtlsguard.Options{}, func(o mtlsguard.Options) (*mtlsguard.Server, error) {
		return mtlsguard.OpenFS(fsys, config, o)
	})
	if got := get(s.client(s.alice), l.url("internal", "/orders/1")); got != "200 alice" {
		t.Errorf("got %s, want 200 alice", got)
	}
	for _, name := range []string{"../policy.csv", "/policy.csv/x", "lost.csv"} {
		s.put(config, strings.Replace(siteConfig, "policy.csv", name, 1))
		if _, err := mtlsguard.OpenFS(s.files(), config, mtlsguard.Options{}); len(configerror.All(err)) != 1 {
			t.Errorf("%s: got %v, want one error", name, err)
		}
	}
}

// An authenticator is called if the client sent no certificate, on its own port only.
func TestAuthenticatorsAreUsedWithoutACertificateOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "strict: false", "strict: true")
	basic := middleware.Basic{Realm: "orders", Check: middleware.Passwords(map[string]string{"carol": "secret"})}
	l := s.start(mtlsguard.Options{Authenticators: map[string][]middleware.Authenticator{"public": {basic}}})
	with := func(c *http.Client, user, password string) string {
		r, _ := http.NewRequest("GET", l.url("public", "/whoami"), nil)
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		res, err := c.Do(r)
		if err != nil {
			return "refused"
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 200 {
			return res.Status[:3] + " " + res.Header.Get("WWW-Authenticate")
		}
		return "200 " + string(body)
	}
	const challenge = `401 Basic realm="orders", charset="UTF-8"`
	anonymous, alice, unmapped := s.client(nil), s.client(s.alice), s.client(s.ca.Leaf("stranger"))
	for _, row := range []struct {
		name, got, want string
	}{
		{"right", with(anonymous, "carol", "secret"), "200 carol"},
		{"wrong", with(anonymous, "carol", "guess"), challenge},
		{"nothing", with(anonymous, "", ""), challenge},
		{"Default", with(anonymous, "Default", "secret"), challenge},
		{"a certificate, and a password", with(alice, "carol", "secret"), "200 alice"},
		{"an unmapped certificate, and a password", with(unmapped, "carol", "secret"), "403 "},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, row.got, row.want)
		}
	}
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := with(anonymous, "carol", "secret"); got != "200 carol" {
		t.Errorf("after a reload: %s, want 200 carol", got)
	}
}

// Certificates are verified by the clock of the options, on open connections too.
func TestClockOfTheOptionsDecidesExpiry(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var mu sync.Mutex
	ahead := time.Duration(0)
	l := s.start(mtlsguard.Options{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(ahead)
	}})
	alice := s.client(s.alice, testkit.HTTP2)
	public, internal := l.url("public", "/whoami"), l.url("internal", "/whoami")
	if a, b := get(alice, internal), get(alice, public); a != "200 alice" || b != "200 alice" {
		t.Fatalf("got %s and %s, want 200 alice on both ports", a, b)
	}
	mu.Lock()
	ahead = 23*time.Hour + 30*time.Minute // the CRL of port internal ends before the certificate
	mu.Unlock()
	if a, b := get(alice, internal), get(alice, public); a != "200 alice" || b != "200 alice" {
		t.Errorf("half an hour before the end: %s, %s", a, b)
	}
	mu.Lock()
	ahead = 25 * time.Hour
	mu.Unlock()
	if a, b := get(alice, internal), get(alice, public); a != "403 expired" || b != "403 expired" {
		t.Errorf("after the end: %s, %s", a, b)
	}
	if a := get(alice, public); a != "refused" {
		t.Errorf("a new connection: %s, want refused", a)
	}
}

// Mappings expire by the clock of the options too, on open connections and new ones.
// Covers M2.
func TestMappingsEndByTheClockOfTheOptions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	end := time.Now().Add(2 * time.Hour).UTC()
	s.sub("users.yaml", `{id: alice, user: alice, subject: "CN=alice", issuer: ca.pem}`, fmt.Sprintf(`{id: alice, user: alice, subject: "CN=alice", issuer: ca.pem, not_after: %s}
  - {id: later, user: bob, fingerprint: %q, not_before: %s}`, end.Format(time.RFC3339), trust.FingerprintOf(s.bob.Cert), end.Format(time.RFC3339)))
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	l := s.start(mtlsguard.Options{Now: now})
	alice, bob := s.client(s.alice, testkit.HTTP2), s.client(s.bob)
	check := func(when, a, b string) {
		t.Helper()
		for range 2 {
			if got := get(alice, l.url("public", "/whoami")); got != a {
				t.Errorf("%s: alice %s, want %s", when, got, a)
			}
			if got := get(bob, l.url("public", "/whoami")); got != b {
				t.Errorf("%s: bob %s, want %s", when, got, b)
			}
		}
	}
	check("before", "200 alice", "403 mapping-expired")
	ahead.Store(int64(2*time.Hour + 10*time.Minute))
	check("ten minutes past not_after", "403 mapping-expired", "200 bob")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	check("after a reload", "403 mapping-expired", "200 bob")
	x, err := l.server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "public", Path: "/whoami", Certificates: s.alice.Presented()})
	if err != nil || x.Allowed || x.Reason != reason.MappingExpired {
		t.Errorf("explain: %v %v %v", err, x.Allowed, x.Reason)
	}
}

// A serving server cannot serve a second time at the same addresses; an ended one can.
func TestServeTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "127.0.0.1:0", testkit.FreeAddress(t))
	s.sub(config, "127.0.0.1:0", testkit.FreeAddress(t))
	ready := make(chan struct{}, 2)
	server, err := mtlsguard.Open(s.path(config), mtlsguard.Options{Ready: func() { ready <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	alice := s.client(s.alice)
	for round := range 2 {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(ctx, s.handler) }()
		select {
		case <-ready:
		case err := <-ended:
			t.Fatalf("round %d: %v", round, err)
		}
		if err := server.Serve(ctx, s.handler); err == nil {
			t.Errorf("round %d: two serve at one address", round)
		}
		if got := get(alice, "https://"+server.Ports()[0].Addr().String()+"/whoami"); got != "200 alice" {
			t.Errorf("round %d: %s, want 200 alice", round, got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		alice.CloseIdleConnections()
	}
}

// Shutdown answers the requests in flight and leaves no connection open after the drain,
// neither a hijacked nor a silent one.
// Covers I12.
func TestDrainAnswersOpenRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	entered, release := make(chan string, 2), make(chan struct{})
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- r.URL.Path
		if r.URL.Path == "/orders/hijack" {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			}
			return // the connection stays open
		}
		<-release
		id, _ := identity.FromContext(r.Context())
		io.WriteString(w, id.User)
	})
	l := s.start(mtlsguard.Options{})
	dial := func() *tls.Conn {
		c, err := tls.Dial("tcp", l.server.Ports()[0].Addr().String(), &tls.Config{RootCAs: s.serve.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{s.alice.TLS()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	silent, hijacked := dial(), dial()
	io.WriteString(hijacked, "GET /orders/hijack HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if got := <-entered; got != "/orders/hijack" {
		t.Fatal(got)
	}
	answer := make(chan string, 1)
	go func() { answer <- get(s.client(s.alice), l.url("internal", "/orders/slow")) }()
	<-entered
	start := time.Now()
	l.stop()
	testkit.Eventually(t, "the drain is logged", func() bool { return len(l.log.find("event", "drain")) == 1 })
	close(release)
	if got := <-answer; got != "200 alice" {
		t.Errorf("the request in flight: %s, want 200 alice", got)
	}
	err := <-l.ended
	l.ended <- err
	if took := time.Since(start); err != nil || took > 7*time.Second { // drain is 1s; its default is 8 s
		t.Errorf("ended after %s with %v", took, err)
	}
	for name, c := range map[string]*tls.Conn{"silent": silent, "hijacked": hijacked} {
		c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := io.ReadAll(c); errors.Is(err, context.DeadlineExceeded) || err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: still open", name)
		}
	}
}

// A panic of a handler reaches net/http and is logged.
func TestPanicOfAHandlerIsLogged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug in the handler") })
	l := s.start(mtlsguard.Options{})
	for _, c := range []*http.Client{s.client(s.alice), s.client(s.alice, testkit.HTTP2)} {
		get(c, l.url("internal", "/whoami"))
	}
	testkit.Eventually(t, "two panics are logged", func() bool { return len(l.log.find("level", "ERROR", "error", "a bug in the handler")) >= 2 })
}
