package middleware_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// noHandshake is the result of a refused handshake.
const noHandshake = "no handshake"

// cell returns the result that docs/configuration.md gives for a client certificate on a port: a user,
// or the reason of a refusal in angle brackets.
func cell(mode ports.ClientAuth, holder string, f middleware.Fallback, unmapped string) string {
	if mode == ports.None {
		holder = "" // the port requests no certificate
	}
	switch holder {
	case "":
		switch {
		case mode == ports.Require:
			return noHandshake
		case f == middleware.ToDefault:
			return "Default"
		}
		return "<no-certificate>"
	case "untrusted", "expired":
		return noHandshake
	case "unmapped":
		if unmapped != "" {
			return unmapped
		}
		return "<unmapped>"
	case "both":
		return "<ambiguous>"
	}
	return holder
}

func result(s seen, err error) string {
	switch {
	case err != nil:
		return noHandshake
	case s.Code == 200:
		return s.User
	}
	return fmt.Sprintf("<%s>", s.Reason)
}

// Covers L1.
func TestEveryModeCertificateAndFallback(t *testing.T) {
	t.Parallel()
	for _, mode := range []ports.ClientAuth{ports.None, ports.Request, ports.Require} {
		for _, f := range []middleware.Fallback{middleware.Strict, middleware.ToDefault} {
			for _, unmapped := range []string{"", "guest", "Default"} {
				if unmapped == "Default" && f == middleware.Strict {
					continue // tested by TestConfigErrorsAreReportedTogether
				}
				t.Run(fmt.Sprintf("%s,strict=%t,unmapped=%s", mode, f == middleware.Strict, unmapped), func(t *testing.T) {
					t.Parallel()
					port := newPort(t, "p", mode)
					guard := newGuard(t, func(c *middleware.Config) { c.Fallback, c.Unmapped = f, unmapped })
					serve(t, guard.Handler(echo), port)
					for holder, pair := range shared().pairs {
						for _, h2 := range []bool{false, true} {
							want := cell(mode, holder, f, unmapped)
							c := dial(t, port, pair, h2)
							for range 2 { // the second request uses the cached caller
								s, err := c.do("GET", "/x")
								if got := result(s, err); got != want {
									t.Errorf("certificate %q, h2 %t: %s, want %s", holder, h2, got, want)
								}
								checkAnonymous(t, s)
							}
						}
					}
				})
			}
		}
	}
}

// checkAnonymous checks the built-in groups of Default and of other users.
func checkAnonymous(t *testing.T, s seen) {
	t.Helper()
	if s.Code != 200 {
		return
	}
	want := []string{identity.Authenticated, identity.Everybody}
	if s.User == identity.Default {
		want = []string{identity.Anonymous, identity.Everybody}
	}
	if !slices.Equal(s.Groups, want) {
		t.Errorf("%s is in %v, want %v", s.User, s.Groups, want)
	}
}

// Covers L2.
func TestThreePortsEachWithItsOwnConfig(t *testing.T) {
	t.Parallel()
	none, request, require := newPort(t, "none", ports.None), newPort(t, "request", ports.Request), newPort(t, "require", ports.Require)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Fallback = middleware.ToDefault // for ports that are not in PerPort, and there is none
		c.Policy = newPolicy(t, "p, group:Everybody, none, GET, /*, allow", "p, user:alice, request, GET, /*, allow", "p, user:bob, require, GET, /*, allow")
		c.PerPort = map[string]middleware.PortConfig{"none": {Fallback: middleware.ToDefault}, "request": {}, "require": {}}
	})
	serve(t, guard.Handler(echo), none, request, require)
	both(t, func(t *testing.T, h2 bool) {
		w := shared()
		dial(t, none, w.alice, h2).get("/x").wantUser(t, "Default")
		dial(t, request, nil, h2).get("/x").want(t, 403, reason.NoCertificate)
		dial(t, request, w.alice, h2).get("/x").wantUser(t, "alice")
		dial(t, request, w.bob, h2).get("/x").want(t, 403, reason.NoRule)
		dial(t, require, w.alice, h2).get("/x").want(t, 403, reason.NoRule)
		if s := dial(t, require, w.bob, h2).get("/x"); s.User != "bob" || s.Port != "require" || s.Mapping != "m-bob" || s.Via != identity.TLS {
			t.Errorf("got %+v, want bob by TLS on port require", s)
		}
		if _, err := dial(t, require, nil, h2).do("GET", "/x"); err == nil {
			t.Error("a handshake without a certificate succeeded on a port that requires one")
		}
	})
}

// Covers L3.
func TestZeroValuesRefuse(t *testing.T) {
	t.Parallel()
	if _, err := middleware.New(middleware.Config{}); err == nil || !strings.Contains(err.Error(), "Map") || !strings.Contains(err.Error(), "Policy") {
		t.Errorf("the zero Config: %v", err)
	}
	port := newPort(t, "p", ports.Request)
	var zero middleware.Guard
	h := http.NewServeMux()
	h.Handle("/handler", zero.Handler(echo))
	h.Handle("/identify", zero.Identify(echo))
	h.Handle("/authorize", zero.Authorize(echo))
	h.HandleFunc("/check", func(w http.ResponseWriter, r *http.Request) {
		if o := zero.Check(r); o.Allowed || o.Reason != reason.PolicyError {
			t.Errorf("Check: %+v", o)
		}
	})
	serve(t, h, port)
	c := dial(t, port, shared().alice, true)
	for _, path := range []string{"/handler", "/identify", "/authorize"} {
		c.get(path).want(t, 503, reason.PolicyError)
	}
	c.get("/check")
}

// Covers L3.
func TestConfigErrorsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := middleware.New(middleware.Config{
		PortConfig: middleware.PortConfig{Fallback: 7, Unmapped: "group:x", Methods: []string{"get", ""}, Authenticators: []middleware.Authenticator{nil}},
		PerPort: map[string]middleware.PortConfig{
			"b": {Unmapped: "Default"}, "a": {Unmapped: "everybody"}, "c": {ServerNames: []string{"*.example", "", "x:1y"}},
		},
	})
	if err == nil {
		t.Fatal("no error")
	}
	got := err.Error()
	for _, want := range []string{
		"Map is nil", "Policy is nil", "Config.Fallback", `Config.Unmapped: "group:x"`, `Methods: "get"`, `Methods: ""`, "Authenticators[0]",
		`PerPort["a"].Unmapped: "everybody"`, `PerPort["b"].Unmapped is Default`, `ServerNames: "*.example"`, `ServerNames: ""`, `ServerNames: "x:1y"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
	if strings.Index(got, `"a"`) > strings.Index(got, `"b"`) {
		t.Error("the order of the errors changes")
	}
}

// Covers L3.
func TestRequestWithoutAPortIsRefused(t *testing.T) {
	t.Parallel()
	guard := newGuard(t, func(c *middleware.Config) { c.Fallback = middleware.ToDefault })
	r := must[*http.Request](t)(http.NewRequest("GET", "https://localhost/x", nil))
	if o := guard.Check(r); o.Allowed || o.Reason != reason.NoPort || o.Status != 500 {
		t.Errorf("got %+v, want no-port with 500", o)
	}
}

// Covers L4.
func TestAuthorizeWithoutIdentifyRefuses(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t)
	h := http.NewServeMux()
	h.Handle("/bare", identity.Required(echo))
	h.Handle("/guarded", guard.Handler(identity.Required(echo)))
	h.HandleFunc("/context", func(w http.ResponseWriter, r *http.Request) {
		if id, ok := identity.FromContext(r.Context()); ok || id.User != "" {
			t.Errorf("an identity without a guard: %+v", id)
		}
	})
	serve(t, h, port)
	c := dial(t, port, shared().alice, false)
	if s := c.get("/bare"); s.Code != 500 {
		t.Errorf("answered %d, want 500", s.Code)
	}
	c.get("/guarded").wantUser(t, "alice")
	c.get("/context")
}

// Covers L5.
func TestHandlerCannotChangeTheNextRequest(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	w := shared()
	var rec recorder
	guard := newGuard(t, func(c *middleware.Config) { c.Observe = rec.observe })
	serve(t, guard.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		user, groups := id.User, slices.Clone(id.Groups)
		for i := range id.Groups {
			id.Groups[i] = "admin"
		}
		id.User, id.Leaf = "root", nil
		again, _ := identity.FromContext(r.Context())
		if again.User != user || !slices.Equal(again.Groups, groups) {
			t.Errorf("the handler changed its own context: %+v", again)
		}
		if len(r.TLS.PeerCertificates) > 0 { // net/http shares r.TLS: the next handler on this connection sees the change
			r.TLS.PeerCertificates[0] = w.bob.Cert
		}
		r.TLS.PeerCertificates = r.TLS.PeerCertificates[:0]
		r.TLS.VerifiedChains, r.TLS.ServerName, r.TLS.HandshakeComplete = nil, "evil", false
		r.TLS = nil
		r.Header.Set("Client-Cert", "x")
		r.URL.Path, r.Method, r.RequestURI, r.Host = "/admin", "DELETE", "/admin", "evil"
		rw.Write([]byte(`{"User":"` + user + `"}`))
	})), port)
	both(t, func(t *testing.T, h2 bool) {
		c := dial(t, port, w.alice, h2)
		for range 3 {
			c.get("/x").wantUser(t, "alice")
		}
	})
	t.Cleanup(func() {
		for _, o := range rec.take() {
			if o.Identity.User != "alice" || slices.Contains(o.Identity.Groups, "admin") {
				t.Errorf("an outcome has %+v", o.Identity)
			}
		}
	})
}

// Covers L6.
func TestRefusalsRevealNothing(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, user:alice, *, *, /secret-a/*, deny", "p, user:bob, *, *, /secret-b/*, deny", "p, user:nobody, *, *, /secret-c/*, allow")
	})
	serve(t, guard.Handler(echo), port)
	w := shared()
	bodies := map[reason.Reason]string{}
	for _, c := range []struct {
		holder string
		target string
		why    reason.Reason
	}{
		{"alice", "/secret-a/x", reason.Denied},
		{"bob", "/secret-b/y", reason.Denied},
		{"alice", "/other", reason.NoRule},
		{"bob", "/secret-c/z", reason.NoRule},
		{"unmapped", "/other", reason.Unmapped},
		{"unmapped", "/secret-a/x", reason.Unmapped},
		{"both", "/", reason.Ambiguous},
		{"both", "/secret-a/x", reason.Ambiguous},
		{"", "/", reason.NoCertificate},
		{"", "/secret-a/x", reason.NoCertificate},
		{"alice", "/a/../b", reason.AmbiguousPath},
		{"bob", "/a%2fb", reason.AmbiguousPath},
	} {
		s := dialRaw(t, port, w.pairs[c.holder], "http/1.1").send("GET " + c.target + " HTTP/1.1\r\nHost: x\r\n\r\n")
		s.want(t, c.why.Status(), c.why)
		body := strings.Replace(s.Body, s.Reference, "REFERENCE", 1)
		if before, ok := bodies[c.why]; ok && before != body {
			t.Errorf("two answers for %s:\n%s%s", c.why, before, body)
		}
		bodies[c.why] = body
		for _, leak := range []string{"alice", "bob", "secret", "policy.csv", "m-", "explanation", "rule"} {
			if strings.Contains(strings.ReplaceAll(s.Body, "no-rule", ""), leak) {
				t.Errorf("the answer for %s contains %q: %s", c.why, leak, s.Body)
			}
		}
		if got := s.Answer.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control is %q, want %q", got, "no-store")
		}
	}
}

// Covers L7.
func TestOutcomeIsSafeToPrint(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	var rec recorder
	guard := newGuard(t, func(c *middleware.Config) { c.Observe = rec.observe })
	serve(t, guard.Handler(echo), port)
	evil := shared().ca.Leaf("x\n{\"level\":\"INFO\"}\x1b[31m")
	dial(t, port, evil, false).get("/a%0d%0aevil%1b%5b31m").want(t, 400, reason.AmbiguousPath)
	dial(t, port, evil, false).get("/x").want(t, 403, reason.Unmapped)
	for _, o := range rec.take() {
		for name, text := range map[string]string{"detail": o.Detail, "path": o.Path, "method": o.Method, "rule": o.Rule.String()} {
			if strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
				t.Errorf("%s is %q", name, text)
			}
		}
	}
}

var _ certmap.Mapper = (*certmap.Table)(nil)
