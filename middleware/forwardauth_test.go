package middleware_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/tunnel"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

var questionHeaders = middleware.ForwardAuth{Method: "X-Original-Method", Target: "X-Original-URI"}

// withQuestions makes the port "ask" answer questions.
func withQuestions(tb testing.TB, change ...func(*middleware.PortConfig)) func(*middleware.Config) {
	return func(c *middleware.Config) {
		own := questionHeaders
		p := middleware.PortConfig{Forwarded: newReceiver(tb), ForwardAuth: &own}
		for _, f := range change {
			f(&p)
		}
		c.PerPort = map[string]middleware.PortConfig{"ask": p}
	}
}

// never is the handler that must not be called.
func never(tb testing.TB) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { tb.Error("the handler was called for a question") })
}

// question describes a request in the headers of questionHeaders.
func question(method, target string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header["X-Original-Method"], r.Header["X-Original-Uri"] = []string{method}, []string{target}
	}
}

// wantAnswer checks the answer to a question: it has no body.
func (s seen) wantAnswer(tb testing.TB, code int, why reason.Reason, user string) {
	tb.Helper()
	h := s.Answer
	if s.Code != code || h.Get("X-Mtlsguard-Reason") != string(why) || h.Get("X-Mtlsguard-User") != user || s.Body != "" || h.Get("Cache-Control") != "no-store" {
		tb.Errorf("answered %d %q %v, want %d %s %s", s.Code, s.Body, h, code, why, user)
	}
	if allowed := code == 200; allowed == (h.Get("X-Mtlsguard-Reference") != "") {
		tb.Errorf("answered %d with the reference %q", code, h.Get("X-Mtlsguard-Reference"))
	}
}

// A question is answered for the request that it describes, by the rules of a port that serves.
func TestQuestionsAreAnsweredAboutTheClientsRequest(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		port := newGatewayPort(t, "ask", ports.Require)
		var rec recorder
		guard := newGuard(t, withQuestions(t), func(c *middleware.Config) {
			c.Policy = newPolicy(t, "p, user:alice, ask, POST, /orders/*, allow", "p, user:alice, ask, OPTIONS, *, allow", "p, user:bob, *, *, /*, deny", "g, user:alice, group:staff")
			c.Observe = rec.observe
		})
		serve(t, guard.Handler(never(t)), port)
		c := dial(t, port, gatewayPKI().gateway, h2)
		ask := func(change ...func(*http.Request)) (seen, middleware.Outcome) {
			s := c.get("/whatever", change...)
			outcomes := rec.take()
			if len(outcomes) != 1 {
				t.Fatalf("%d outcomes", len(outcomes))
			}
			return s, outcomes[0]
		}
		s, o := ask(forwards(shared().alice), question("POST", "/orders/7?x=1"))
		s.wantAnswer(t, 200, "", "alice")
		if s.Answer.Get("X-Mtlsguard-Groups") != "Authenticated,Everybody,staff" || s.Answer.Get("X-Mtlsguard-Mapping") != "m-alice" {
			t.Errorf("answered with %v, want the groups and the mapping of alice", s.Answer)
		}
		if o.Method != "POST" || o.Path != "/orders/7" || o.Port != "ask" || !o.Allowed || o.Identity.Via != identity.Forwarded || o.Rule.Line != 1 {
			t.Errorf("observed %+v, want the client's request, allowed by line 1", o)
		}
		s, _ = ask(forwards(shared().alice), question("OPTIONS", "*"))
		s.wantAnswer(t, 200, "", "alice")
		for _, row := range []struct {
			name    string
			forward func(*http.Request)
			ask     func(*http.Request)
			code    int
			why     reason.Reason
		}{
			{"another method", forwards(shared().alice), question("GET", "/orders/7"), 403, reason.NoRule},
			{"another path", forwards(shared().alice), question("POST", "/admin"), 403, reason.NoRule},
			{"another user", forwards(shared().bob), question("POST", "/orders/7"), 403, reason.Denied},
			{"no certificate", forwards(nil), question("POST", "/orders/7"), 403, reason.NoCertificate},
			{"unmapped", forwards(shared().unmapped), question("POST", "/orders/7"), 403, reason.Unmapped},
			{"expired", forwards(shared().late), question("POST", "/orders/7"), 403, reason.Expired},
			{"untrusted", forwards(shared().untrusted), question("POST", "/orders/7"), 403, reason.UnknownAuthority},
			{"not a certificate", header("Client-Cert", ":QQ==:"), question("POST", "/orders/7"), 400, reason.BadHeader},
		} {
			s, o := ask(row.forward, row.ask)
			s.wantAnswer(t, row.code, row.why, "")
			if o.Reason != row.why || o.Reference != s.Answer.Get("X-Mtlsguard-Reference") || o.Method == "GET" != (row.name == "another method") {
				t.Errorf("%s: observed %+v, want %q with the reference of the answer", row.name, o, row.why)
			}
		}
	})
}

// Each row spoils one property of a question that is allowed otherwise.
// Covers E13, F3, F4.
func TestMalformedQuestionsAreRefused(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		port := newGatewayPort(t, "ask", ports.Require)
		serve(t, newGuard(t, withQuestions(t)).Handler(never(t)), port)
		c := dial(t, port, gatewayPKI().gateway, h2)
		alice, fine := forwards(shared().alice), question("GET", "/a")
		c.get("/", alice, fine).wantAnswer(t, 200, "", "alice")
		without := func(name string) func(*http.Request) { return func(r *http.Request) { delete(r.Header, name) } }
		for name, change := range map[string]func(*http.Request){
			"no method": without("X-Original-Method"), "no target": without("X-Original-Uri"),
			"empty method": question("", "/a"), "empty target": question("GET", ""),
			"two methods": header("X-Original-Method", "GET"), "two targets": header("X-Original-Uri", "/a"), "another target": header("X-Original-Uri", "/b"),
			"a method with underscores": header("X_original_method", "GET"), "a target with an underscore": header("X-Original_uri", "/b"), "a target with dots": header("X.original.uri", "/b"),
		} {
			s := c.get("/", alice, fine, change)
			if s.Code != 400 || s.Answer.Get("X-Mtlsguard-Reason") != "bad-header" {
				t.Errorf("%s: answered %d with %v, want 400 bad-header", name, s.Code, s.Answer)
			}
		}
		// Two lines that a proxy has joined to one are no method, and no target.
		c.get("/", alice, question("GET, GET", "/a")).wantAnswer(t, 400, reason.AmbiguousPath, "")
		c.get("/", alice, question("GET", "/a, /a")).wantAnswer(t, 400, reason.AmbiguousPath, "")
	})
}

// A target in a question is read as in a request line, and what servers behind other gateways
// could read in another way is refused too.
// Covers E1, E2, E3, E5, E6, E7, E10, E11.
func TestTargetsInQuestions(t *testing.T) {
	t.Parallel()
	port := newGatewayPort(t, "ask", ports.Require)
	var rec recorder
	serve(t, newGuard(t, withQuestions(t), func(c *middleware.Config) { c.Observe = rec.observe }).Handler(never(t)), port)
	c := dial(t, port, gatewayPKI().gateway, false)
	stricter := map[string]bool{"/public/..;/admin": true}
	for _, x := range targets {
		s := c.get("/", forwards(shared().alice), question(x.method, x.target))
		if x.path == "" || stricter[x.target] {
			s.wantAnswer(t, 400, reason.AmbiguousPath, "")
		} else if s.wantAnswer(t, 200, "", "alice"); x.path != "-" && rec.take()[0].Path != x.path {
			t.Errorf("%s was decided as another path", x.target)
		}
		rec.take()
	}
	for _, x := range []struct{ method, target string }{
		{"GET", "admin"}, {"GET", "*"}, {"GET", "?"}, {"GET", "#x"}, {"GET", "%2fadmin"}, {"GET", "http://other/admin"}, {"GET", "https://localhost/a"}, {"GET", "x:/admin"},
		{"CONNECT", "localhost:443"}, {"CONNECT", "/admin"}, {"CONNECT", "*"}, {"GET", "/a b"}, {"GET", "/a\tb"}, {"GET", "/%zz"}, {"GET", "/a%"}, {"OPTIONS", "**"}, {"OPTIONS", "*?x"},
		{"GET", "/a HTTP/1.1"}, {"GET /a", "/a"}, {"GET,", "/a"}, {"(", "/a"}, {"GET", "/x?a b"},
		{"GET", "/orders/..;/admin"}, {"GET", "/orders/..;x/admin"}, {"GET", "/orders/.;/x"}, {"GET", "/orders/..%3b/admin"}, {"GET", "/..;"}, {"GET", "/;/admin"}, {"GET", "/orders/;x=1/7"}, {"GET", "/orders/%3b"},
	} {
		c.get("/", forwards(shared().alice), question(x.method, x.target)).wantAnswer(t, 400, reason.AmbiguousPath, "")
	}
	long := "/" + strings.Repeat("a", 70<<10) // longer than what the port accepts in all headers
	if s, err := c.do("GET", "/", forwards(shared().alice), question("GET", long)); err == nil && s.Code != 431 {
		t.Errorf("a long target: %d", s.Code)
	}
}

// Only a gateway gets an answer, whatever Fallback is: a question without its certificate never
// becomes one of Default.
// Covers F2, F14, L1.
func TestOnlyGatewaysMayAsk(t *testing.T) {
	t.Parallel()
	for _, fallback := range []middleware.Fallback{middleware.Strict, middleware.ToDefault} {
		port := newGatewayPort(t, "ask", ports.Request)
		serve(t, newGuard(t, withQuestions(t, func(p *middleware.PortConfig) { p.Fallback = fallback })).Handler(never(t)), port)
		for holder, pair := range gatewayPKI().pairs {
			for name, forward := range map[string]func(*http.Request){"alice": forwards(shared().alice), "": forwards(nil)} {
				s := dial(t, port, pair, false).get("/", forward, question("GET", "/a"))
				switch {
				case holder == "":
					s.wantAnswer(t, 403, reason.NoCertificate, "")
				case holder != "gateway":
					s.wantAnswer(t, 403, reason.UntrustedGateway, "")
				case name == "alice":
					s.wantAnswer(t, 200, "", "alice")
				case fallback == middleware.Strict:
					s.wantAnswer(t, 403, reason.NoCertificate, "")
				default:
					s.wantAnswer(t, 200, "", "Default")
				}
			}
		}
	}
}

// A question through a tunnel is refused: its port has no connection of a gateway.
func TestQuestionThroughATunnelIsRefused(t *testing.T) {
	t.Parallel()
	v := newTrust(t, nil)
	guard := newGuard(t, withQuestions(t))
	r := httptest.NewRequest("GET", "/", nil)
	question("GET", "/a")(r)
	caller := &tunnel.Caller{Port: "ask", Verify: func(ctx context.Context) (trust.Verified, error) { return v.Verify(ctx, shared().alice.Presented()) }}
	w := httptest.NewRecorder()
	guard.Handler(never(t)).ServeHTTP(w, r.WithContext(tunnel.NewContext(r.Context(), caller)))
	if w.Code != 403 || w.Header().Get("X-Mtlsguard-Reason") != "untrusted-gateway" {
		t.Errorf("answered %d %v", w.Code, w.Header())
	}
}

// A gateway takes any status from 200 to 299 for yes. In gRPC an error has the status 200.
func TestRefusalOfAQuestionIsNeverAnErrorOfGRPC(t *testing.T) {
	t.Parallel()
	port := newGatewayPort(t, "ask", ports.Require)
	serve(t, newGuard(t, withQuestions(t)).Handler(never(t)), port)
	c := dial(t, port, gatewayPKI().gateway, true)
	for _, contentType := range []string{"application/grpc", "application/grpc-web+proto", "application/connect+json"} {
		s, err := c.do("POST", "/", forwards(shared().unmapped), question("POST", "/a"), header("Content-Type", contentType), header("Te", "trailers"))
		if err != nil {
			t.Fatal(err)
		}
		s.wantAnswer(t, 403, reason.Unmapped, "")
	}
}

// The two halves of the guard, a router outside, a nil handler and Config.Refuse change nothing.
func TestQuestionsAreAnsweredByTheGuardItself(t *testing.T) {
	t.Parallel()
	guard := newGuard(t, withQuestions(t), func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, user:alice, ask, DELETE, /a, allow")
		c.Refuse = func(w http.ResponseWriter, _ *http.Request, _ middleware.Outcome) { io.WriteString(w, "a body") }
	})
	router := chi.NewRouter()
	router.Use(guard.Handler)
	router.Handle("/*", never(t))
	inside := chi.NewRouter()
	inside.Get("/ask/{x}", guard.Handler(never(t)).ServeHTTP)
	for name, h := range map[string]http.Handler{
		"Identify": guard.Identify(never(t)), "Identify and Authorize": guard.Identify(guard.Authorize(never(t))), "nil": guard.Handler(nil), "a router": router, "a route": inside,
	} {
		port := newGatewayPort(t, "ask", ports.Require)
		serve(t, h, port)
		c := dial(t, port, gatewayPKI().gateway, false)
		for _, x := range []struct {
			method string
			code   int
			why    reason.Reason
			user   string
		}{{"DELETE", 200, "", "alice"}, {"GET", 403, reason.NoRule, ""}} {
			s := c.get("/ask/x", forwards(shared().alice), question(x.method, "/a"))
			if s.Code != x.code || s.Body != "" || s.Answer.Get("X-Mtlsguard-User") != x.user || s.Answer.Get("X-Mtlsguard-Reason") != string(x.why) {
				t.Errorf("%s: %s: answered %d %q with %v, want %d, user %q, reason %q", name, x.method, s.Code, s.Body, s.Answer, x.code, x.user, x.why)
			}
		}
	}
	ask, other := newGatewayPort(t, "ask", ports.Require), newPort(t, "other", ports.Request)
	checked := guard.Handler(nil).(interface{ CheckPorts(...*ports.Port) error })
	if err := checked.CheckPorts(ask); err != nil {
		t.Errorf("without a handler, on a port that answers: %v", err)
	}
	if err := checked.CheckPorts(ask, other); err == nil {
		t.Error("no error without a handler on a port that serves")
	}
}

// The host of a question is compared with the names of the port; the names in the question itself
// do not count then.
func TestHostOfAQuestion(t *testing.T) {
	t.Parallel()
	port := newGatewayPort(t, "ask", ports.Require)
	serve(t, newGuard(t, withQuestions(t, func(p *middleware.PortConfig) {
		p.ForwardAuth.Host, p.ServerNames = "X-Forwarded-Host", []string{"api.acme.example"}
	})).Handler(never(t)), port)
	c := dial(t, port, gatewayPKI().gateway, false)
	for host, code := range map[string]int{"api.acme.example": 200, "API.Acme.Example.:8443": 200, "other.example": 421, "api.acme.example, other.example": 421, "localhost": 421, "api.acme.example@other": 421} {
		s := c.get("/", forwards(shared().alice), question("GET", "/a"), header("X-Forwarded-Host", host))
		if s.Code != code || (code == 421) != (s.Answer.Get("X-Mtlsguard-Reason") == "misdirected") {
			t.Errorf("%s: answered %d with %v, want %d", host, s.Code, s.Answer, code)
		}
	}
	c.get("/", forwards(shared().alice), question("GET", "/a")).wantAnswer(t, 400, reason.BadHeader, "")
	c.get("/", forwards(shared().alice), question("GET", "/a"), header("X-Forwarded-Host", "api.acme.example"), header("X-Forwarded-Host", "api.acme.example")).wantAnswer(t, 400, reason.BadHeader, "")
}

// Quotas count questions, and Check does not.
func TestQuotasCountQuestions(t *testing.T) {
	t.Parallel()
	port := newGatewayPort(t, "ask", ports.Require)
	guard := newGuard(t, withQuestions(t), func(c *middleware.Config) {
		c.Quotas = []middleware.Quota{{Name: "few", Path: "/orders/*", Requests: 1, Interval: time.Hour}}
	})
	serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			if o := guard.Check(r); !o.Allowed || o.Path != "/orders/7" || o.Method != "POST" {
				t.Errorf("Check: %+v", o)
			}
		}
		guard.Handler(nil).ServeHTTP(w, r)
	}), port)
	c := dial(t, port, gatewayPKI().gateway, false)
	c.get("/", forwards(shared().alice), question("POST", "/orders/7")).wantAnswer(t, 200, "", "alice")
	s := c.get("/", forwards(shared().alice), question("POST", "/orders/7"))
	if s.wantAnswer(t, 429, reason.Quota, ""); s.Answer.Get("Retry-After") == "" {
		t.Errorf("answered with %v, want Retry-After", s.Answer)
	}
	c.get("/", forwards(shared().bob), question("POST", "/orders/7")).wantAnswer(t, 200, "", "bob")
}

// Authenticators get the client's request if the gateway forwards that there was no certificate.
func TestPasswordsInQuestions(t *testing.T) {
	t.Parallel()
	port := newGatewayPort(t, "ask", ports.Require)
	serve(t, newGuard(t, withQuestions(t, func(p *middleware.PortConfig) {
		p.Authenticators = []middleware.Authenticator{&middleware.Basic{Realm: "acme", Check: middleware.Passwords(map[string]string{"carol": "secret"})}}
	})).Handler(never(t)), port)
	c := dial(t, port, gatewayPKI().gateway, false)
	password := func(p string) func(*http.Request) { return func(r *http.Request) { r.SetBasicAuth("carol", p) } }
	c.get("/", question("GET", "/a"), password("secret")).wantAnswer(t, 200, "", "carol")
	for _, change := range []func(*http.Request){password("wrong"), func(*http.Request) {}} {
		if s := c.get("/", question("GET", "/a"), change); s.Code != 401 || s.Answer.Get("Www-Authenticate") == "" || s.Answer.Get("X-Mtlsguard-User") != "" {
			t.Errorf("answered %d with %v, want 401 and a challenge", s.Code, s.Answer)
		}
	}
}

// groupsOf is a policy that allows everything, and whose groups are odd.
type groupsOf []string

func (groupsOf) Decide(context.Context, policy.Request) (policy.Decision, error) {
	return policy.Decision{Allowed: true}, nil
}
func (g groupsOf) Groups(string) []string { return g }

// A group that would be two in the header is refused.
func TestGroupsInAnswersAreNames(t *testing.T) {
	t.Parallel()
	for group, code := range map[string]int{"staff": 200, "staff,admin": 503, "a\r\nX-Mtlsguard-User: root": 503, "": 503} {
		port := newGatewayPort(t, "ask", ports.Require)
		serve(t, newGuard(t, withQuestions(t), func(c *middleware.Config) { c.Policy = groupsOf{"Everybody", group} }).Handler(nil), port)
		if s := dial(t, port, gatewayPKI().gateway, false).get("/", forwards(shared().alice), question("GET", "/a")); s.Code != code {
			t.Errorf("%q: answered %d with %v, want %d", group, s.Code, s.Answer, code)
		}
	}
}

// Covers L3.
func TestErrorsInForwardAuth(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(*middleware.PortConfig)
		want   string
	}{
		"empty":                 {func(p *middleware.PortConfig) { *p.ForwardAuth = middleware.ForwardAuth{} }, `"" is not a header name`},
		"no method":             {func(p *middleware.PortConfig) { p.ForwardAuth.Method = "" }, "ForwardAuth.Method"},
		"no target":             {func(p *middleware.PortConfig) { p.ForwardAuth.Target = "" }, "ForwardAuth.Target"},
		"no gateways":           {func(p *middleware.PortConfig) { p.Forwarded = nil }, "needs Forwarded"},
		"not a name":            {func(p *middleware.PortConfig) { p.ForwardAuth.Target = "X Original" }, "not a header name"},
		"an underscore":         {func(p *middleware.PortConfig) { p.ForwardAuth.Target = "X_Original_URI" }, "not a header name"},
		"Host":                  {func(p *middleware.PortConfig) { p.ForwardAuth.Target = "host" }, "another meaning"},
		"the certificate":       {func(p *middleware.PortConfig) { p.ForwardAuth.Target = "client-cert" }, "names a caller"},
		"a user":                {func(p *middleware.PortConfig) { p.ForwardAuth.Method = "X-Remote-User" }, "names a caller"},
		"the same twice":        {func(p *middleware.PortConfig) { p.ForwardAuth.Method = "x-original-uri" }, "named twice"},
		"host for every host":   {func(p *middleware.PortConfig) { p.ForwardAuth.Host = "X-Forwarded-Host" }, "no effect without ServerNames"},
		"a wrong name for host": {func(p *middleware.PortConfig) { p.ForwardAuth.Host, p.ServerNames = "Cookie", []string{"a.example"} }, "another meaning"},
	} {
		_, err := middleware.New(config(t, withQuestions(t, row.change)))
		all := configerror.All(err)
		if len(all) == 0 || !strings.Contains(all[0].Error(), row.want) && !strings.Contains(all[len(all)-1].Error(), row.want) {
			t.Errorf("%s: got %v, want %q", name, err, row.want)
		}
		for _, e := range all {
			if e.Hint == "" || !strings.HasPrefix(e.What, `PerPort["ask"].ForwardAuth`) {
				t.Errorf("%s: got %+v, want an error of ForwardAuth with a hint", name, e)
			}
		}
	}
}

// servletsDiffer reports whether a path is refused where a servlet container may answer: it removes the
// parameters of a segment, and then the segment.
func servletsDiffer(path string) bool {
	return strings.Contains(path, "/.;") || strings.Contains(path, "/..;") || strings.Contains(path, "/;")
}

// FuzzQuestion compares a question with the request that it describes: it is never allowed where
// the request itself would be refused, and is decided about the same path.
func FuzzQuestion(f *testing.F) {
	for _, x := range targets {
		f.Add(x.method, x.target)
	}
	f.Add("GET", "/a b")
	f.Add("GET", "/orders/..;/admin")
	f.Add("GET", "/;x/orders")
	f.Add("GET ", "http://other/admin")
	guard := newGuard(f, withQuestions(f))
	asking := capture(f, newGatewayPort(f, "ask", ports.Require), gatewayPKI().gateway)
	forwards(shared().alice)(asking)
	direct := capture(f, newPort(f, "p", ports.Request), shared().alice)
	f.Fuzz(func(t *testing.T, method, target string) {
		r := asking.Clone(asking.Context())
		question(method, target)(r)
		o := guard.Check(r)
		if o.Allowed && (o.Method != method || o.Identity.User != "alice") {
			t.Fatalf("%q %q: allowed %+v, want alice's request with its own method", method, target, o)
		}
		if !o.Allowed && o.Reason != reason.AmbiguousPath && o.Reason != reason.BadHeader {
			t.Fatalf("%q %q: refused %+v, want ambiguous-path or bad-header", method, target, o)
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || strings.ContainsAny(target, " \t") || method == "" {
			if o.Allowed {
				t.Fatalf("%q %q: net/http would not read it in a request line", method, target)
			}
			return
		}
		same := direct.WithContext(direct.Context())
		same.Method, same.RequestURI, same.URL = method, target, u
		switch want := guard.Check(same); {
		case o.Allowed && (!want.Allowed || o.Path != want.Path):
			t.Fatalf("%q %q: the question is allowed as %q, the request is %+v", method, target, o.Path, want)
		case !o.Allowed && want.Allowed && !servletsDiffer(want.Path):
			t.Fatalf("%q %q: the question is refused: %s", method, target, o.Detail)
		}
	})
}
