package middleware_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"

	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// targets lists request targets and the path that is authorised and served, or "" if the
// target is refused. The id of the threat is a part of the name.
var targets = []struct{ id, method, target, path string }{
	{"E1", "GET", "/a%2fb", ""},
	{"E1", "GET", "/a%2Fb", ""},
	{"E1", "GET", "/a%5cb", ""},
	{"E1", "GET", "/a%5Cb", ""},
	{"E1", "GET", "/%2e%2e/admin", ""},
	{"E1", "GET", "/.%2e/admin", ""},
	{"E1", "GET", "/a/%2E", ""},
	{"E1", "GET", "/v1%2e2", ""}, // every %2e is refused
	{"E1", "GET", "/public/..%2fadmin", ""},
	{"E1", "GET", "/a%252fb", "/a%2fb"},
	{"E1", "GET", "/a%252e%252e", "/a%2e%2e"},
	{"E1", "GET", "/100%25", "/100%"},
	{"E2", "GET", "/a/../b", ""},
	{"E2", "GET", "/a/./b", ""},
	{"E2", "GET", "/a/.", ""},
	{"E2", "GET", "/a/..", ""},
	{"E2", "GET", "/..", ""},
	{"E2", "GET", "//", ""},
	{"E2", "GET", "//a", ""},
	{"E2", "GET", "/a//b", ""},
	{"E2", "GET", "/a//", ""},
	{"E2", "GET", "/...", "/..."},
	{"E2", "GET", "/.well-known/x", "/.well-known/x"},
	{"E2", "GET", "/a..b", "/a..b"},
	{"E4", "GET", `/a\b`, ""},
	{"E4", "GET", "/admin/", "/admin/"},
	{"E4", "GET", "/ADMIN", "/ADMIN"},
	{"E4", "GET", "/admin;x=1", "/admin;x=1"},
	{"E4", "GET", "/admin%3bx=1", "/admin;x=1"},
	{"E4", "GET", "/public/..;/admin", "/public/..;/admin"},
	{"E4", "GET", "/%41dmin", "/Admin"},
	{"E5", "GET", "/pub#/../admin", ""},
	{"E5", "GET", "/pub#x", ""},
	{"E5", "GET", "/pub?x#y", ""},
	{"E7", "TRACE", "/a", ""},
	{"E10", "GET", "/x%00", ""},
	{"E10", "GET", "/a%0d%0ab", ""},
	{"E10", "GET", "/a%7f", ""},
	{"E10", "GET", "/a%1fb", ""},
	{"E10", "GET", "/%c2%85", ""}, // a control character beyond ASCII
	{"E10", "GET", "/%ff", ""},
	{"E10", "GET", "/%c0%af", ""},
	{"E10", "GET", "/%ed%a0%80", ""},
	{"E10", "GET", "/%c3%a9", "/é"},
	{"E10", "GET", "/é", "/é"},
	{"E10", "GET", "/\xff", ""},
	{"E11", "GET", "/x?y=/admin", "/x"},
	{"E11", "GET", "/x?a=%2f..&a=%00", "/x"},
	{"E11", "GET", "/x?", "/x"},
	{"E11", "GET", "/x%3Fy", "/x?y"},
	{"E11", "GET", "/x%23y", "/x#y"},
	{"D11", "get", "/a", ""},
	{"D11", "Get", "/a", ""},
	{"D11", "GETX", "/a", ""},
	{"D11", "PROPFIND", "/a", ""},
	{"D11", "HEAD", "/a", "-"},
	{"D11", "DELETE", "/a", "/a"},
	{"D11", "OPTIONS", "*", "*"},
	{"D11", "OPTIONS", "/a", "/a"},
	{"D11", "OPTIONS", "/*", "/*"},
	{"E3", "GET", "/", "/"},
}

// alike checks the answer for the path.
func alike(t *testing.T, s seen, path string) {
	t.Helper()
	switch path {
	case "":
		s.want(t, 400, reason.AmbiguousPath)
	case "-": // an answer without a body
		if s.Code != 200 {
			t.Errorf("answered %d, want 200", s.Code)
		}
	default:
		if s.wantUser(t, "alice"); s.Path != path {
			t.Errorf("served %q, want %q", s.Path, path)
		}
		if s.RawPath != "" {
			t.Errorf("the handler sees a second form of the path: %q, want none", s.RawPath)
		}
	}
}

// decided serves targets, and checks that the served path is the authorised one.
func decided(t *testing.T, wrap func(http.Handler) http.Handler) *ports.Port {
	t.Helper()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Observe = func(r *http.Request, o middleware.Outcome) {
			if o.Allowed && (o.Path != r.URL.Path || o.Method != r.Method) {
				t.Errorf("authorised %s %q, served %s %q", o.Method, o.Path, r.Method, r.URL.Path)
			}
		}
	})
	serve(t, wrap(guard.Handler(echo)), port)
	return port
}

func same(h http.Handler) http.Handler { return h }

// Covers E1, E2, E5, E10, E11.
func TestTargetsOnHTTP1(t *testing.T) {
	t.Parallel()
	port := decided(t, same)
	c := dialRaw(t, port, shared().alice, "http/1.1")
	for _, x := range targets {
		t.Run(x.id+" "+x.method+" "+x.target, func(t *testing.T) {
			c.tb = t
			alike(t, c.send(x.method+" "+x.target+" HTTP/1.1\r\nHost: localhost\r\n\r\n"), x.path)
		})
	}
}

// Covers E1, E2, E5, E10, E11.
func TestTargetsOnHTTP2(t *testing.T) {
	t.Parallel()
	port := decided(t, same)
	c := dialFrames(t, port, shared().alice)
	for _, x := range targets {
		t.Run(x.id+" "+x.method+" "+x.target, func(t *testing.T) {
			c.tb = t
			s := c.send(x.method, x.target)
			if s.Code == 0 && x.path == "" {
				return // net/http reset the stream: refused as well
			}
			if x.path == "" {
				s.Answer = http.Header{"Content-Type": {"application/problem+json"}} // this client does not decode headers
			}
			alike(t, s, x.path)
		})
	}
}

// Some targets net/http itself answers, and the guard does not see them. The answer must not be
// 200 either.
// Covers E3, E6, E7.
func TestMalformedTargetsOnHTTP1(t *testing.T) {
	t.Parallel()
	port := decided(t, same)
	for _, line := range []string{
		"GET admin HTTP/1.1", "GET * HTTP/1.1", "GET ? HTTP/1.1", "GET  HTTP/1.1", "GET #x HTTP/1.1", "GET %2fadmin HTTP/1.1",
		"GET http://other/admin HTTP/1.1", "GET https://localhost/admin HTTP/1.1", "OPTIONS https://localhost HTTP/1.1", "GET x:/admin HTTP/1.1",
		"CONNECT localhost:443 HTTP/1.1", "CONNECT /public/../admin HTTP/1.1", "CONNECT /admin HTTP/1.1", "CONNECT * HTTP/1.1",
		"GET /a\x01 HTTP/1.1", "GET /a\x7f HTTP/1.1", "GET /a\x00 HTTP/1.1", "GET /%zz HTTP/1.1", "GET /a% HTTP/1.1", "GET /a%2 HTTP/1.1",
		"GET /a b HTTP/1.1", "G(T /a HTTP/1.1", "PRI * HTTP/2.0", "GET\t/a HTTP/1.1", "OPTIONS ** HTTP/1.1", "OPTIONS *?x HTTP/1.1", "OPTIONS *a HTTP/1.1",
	} {
		c := dialRaw(t, port, shared().alice, "http/1.1")
		s := c.send(line + "\r\nHost: localhost\r\n\r\n")
		if s.Code != 400 && s.Code != 505 {
			t.Errorf("%q answered %d %s", line, s.Code, s.Body)
		}
		if s.Code == 400 && s.Reason != "" {
			s.want(t, 400, reason.AmbiguousPath)
		}
	}
}

// Covers E3, E6, E7.
func TestMalformedTargetsOnHTTP2(t *testing.T) {
	t.Parallel()
	port := decided(t, same)
	c := dialFrames(t, port, shared().alice)
	for _, x := range []struct{ method, path string }{
		{"GET", "admin"}, {"GET", "*"}, {"GET", ""}, {"GET", "service/x"}, {"GET", "http://other/admin"}, {"GET", "?x"}, {"GET", "/%zz"}, {"GET", "/%"},
		{"OPTIONS", "**"}, {"OPTIONS", "*?x"}, {"POST", "*"}, {"GET", "/a\x01b"}, {"GET", "/a\x00"}, {"GET", "/a\nb"}, {"GET", "/a b\tc"}, {"", "/a"},
	} {
		if s := c.send(x.method, x.path); s.Code != 0 && (s.Code != 400 || s.Reason != reason.AmbiguousPath) {
			t.Errorf("%s %q: answered %d %s, want 400 ambiguous-path", x.method, x.path, s.Code, s.Body)
		}
	}
	for _, fields := range [][]field{
		{{":method", "CONNECT"}, {":authority", "localhost"}},
		{{":method", "CONNECT"}, {":authority", "/admin"}},
		{{":method", "CONNECT"}, {":scheme", "https"}, {":path", "/public/../admin"}, {":authority", "localhost"}},
		{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":path", "/admin"}, {":authority", "localhost"}},
	} {
		if s := c.request(fields, ""); s.Code != 0 && s.Code != 400 {
			t.Errorf("%v: answered %d %s, want 400", fields, s.Code, s.Body)
		}
	}
	if s := c.send("GET", "/fine"); s.Code != 200 {
		t.Errorf("the connection no longer works: %+v", s)
	}
}

// Covers E7.
func TestMethodsOfAPort(t *testing.T) {
	t.Parallel()
	plain, dav := newPort(t, "plain", ports.Request), newPort(t, "dav", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = must[policyDecider](t)(loadWithMethods("p, user:alice, *, *, /*, allow", "PROPFIND", "CONNECT", "M-SEARCH", "X_1"))
		c.PerPort = map[string]middleware.PortConfig{"dav": {Methods: []string{"PROPFIND", "CONNECT", "M-SEARCH", "X_1"}}}
	})
	serve(t, guard.Handler(echo), plain, dav)
	on := func(p *ports.Port) *rawConn { return dialRaw(t, p, shared().alice, "http/1.1") }
	for _, method := range []string{"PROPFIND", "M-SEARCH", "X_1"} {
		line := method + " /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
		on(plain).send(line).want(t, 400, reason.AmbiguousPath)
		on(dav).send(line).wantUser(t, "alice")
	}
	// CONNECT, if enabled, still needs a path, not an authority.
	on(dav).send("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n").want(t, 400, reason.AmbiguousPath)
	on(dav).send("CONNECT /public/../admin HTTP/1.1\r\nHost: localhost\r\n\r\n").want(t, 400, reason.AmbiguousPath)
}

// Covers E13.
func TestMethodOverrideHeadersHaveNoEffect(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, user:alice, *, GET, /public/*, allow", "p, user:bob, *, DELETE, /admin, allow")
	})
	serve(t, guard.Handler(echo), port)
	both(t, func(t *testing.T, h2 bool) {
		c := dial(t, port, shared().alice, h2)
		for _, h := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Original-Method"} {
			for _, v := range []string{"DELETE", "/public/x", "/admin"} {
				c.get("/admin", header(h, v)).want(t, 403, reason.NoRule)
				s := c.get("/public/a", header(h, v))
				s.wantUser(t, "alice")
				if s.Method != "GET" || s.Path != "/public/a" {
					t.Errorf("%s: %s served %s %s", h, v, s.Method, s.Path)
				}
			}
		}
	})
}

// Covers E6.
func TestAbsoluteFormIsRefused(t *testing.T) {
	t.Parallel()
	port := decided(t, same)
	dialRaw(t, port, shared().alice, "http/1.1").send("GET http://other/admin HTTP/1.1\r\nHost: localhost\r\n\r\n").want(t, 400, reason.AmbiguousPath)
}

// Routers see one form of the path: the authorised one.
// Covers E1.
func TestRoutersServeTheAuthorizedPath(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, user:alice, *, GET, /*, allow", "p, user:alice, *, GET, /admin, deny", "p, user:alice, *, GET, /api/admin, deny")
	})
	named := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Route", name)
			echo(w, r)
		}
	}
	root := chi.NewRouter()
	root.Use(guard.Handler)
	root.Get("/admin", named("admin"))
	root.Get("/user", named("user"))
	root.Get("/{page}", named("page"))
	root.Route("/api", func(r chi.Router) {
		r.Get("/user", named("api user"))
		r.Get("/{page}", named("api page"))
	})
	serve(t, root, port)
	c := dialRaw(t, port, shared().alice, "http/1.1")
	for _, x := range []struct{ target, route string }{
		{"/user", "user"}, {"/%75ser", "user"}, {"/api/%75ser", "api user"}, {"/%75ser;x", "page"}, {"/user%3bx", "page"}, {"/api/x%3By", "api page"},
		{"/admin", ""}, {"/%61dmin", ""}, {"/api/%61dmin", ""}, {"/%61%64min", ""},
	} {
		s := c.send("GET " + x.target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if x.route == "" {
			s.want(t, 403, reason.Denied)
		} else if got := s.Answer.Get("Route"); got != x.route {
			t.Errorf("%s was routed to %q, want %q", x.target, got, x.route)
		}
	}
}

// A router outside the guard that routes the escaped form may serve another path than the
// authorised one.
// Covers E1.
func TestPathRoutedBeforeTheGuardIsRefused(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t)
	root := chi.NewRouter()
	root.Route("/sub", func(r chi.Router) {
		r.Use(guard.Handler)
		r.Get("/{page}", echo)
		r.Get("/", echo)
	})
	root.With(guard.Handler).Get("/inline/{page}", echo)
	root.With(guard.Handler).Get("/{page}", echo)
	root.Group(func(r chi.Router) {
		r.Use(guard.Handler)
		r.Get("/group/{page}", echo)
	})
	root.Mount("/mounted", guard.Handler(echo))
	serve(t, root, port)
	c := dialRaw(t, port, shared().alice, "http/1.1")
	for _, x := range []struct {
		target string
		ok     bool
	}{
		{"/sub/x", true}, {"/sub", true}, {"/sub/", true}, {"/inline/x", true}, {"/x", true}, {"/group/x", true}, {"/mounted/a/b", true}, {"/mounted", true}, {"/sub/%20", true},
		{"/sub/%61dmin", false}, {"/inline/%61dmin", false}, {"/%61dmin", false}, {"/group/%61dmin", false}, {"/mounted/%61dmin", false}, {"/%73ub/x", false},
	} {
		s := c.send("GET " + x.target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
		switch {
		case x.ok:
			s.wantUser(t, "alice")
		case s.Code == 404 && x.target == "/%73ub/x": // chi finds no route
		default:
			s.want(t, 400, reason.AmbiguousPath)
		}
	}
}

// Middleware can change the path that chi routes and not the path of the request: /admin/
// would be authorised and /admin served.
// Covers E4.
func TestRoutePathRewrittenBeforeTheGuardIsRefused(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, user:alice, *, *, /*, allow", "p, user:alice, *, *, /admin, deny")
	})
	root := chi.NewRouter()
	root.Use(chimiddleware.StripSlashes, guard.Handler)
	root.Get("/admin", echo)
	root.Get("/open", echo)
	serve(t, root, port)
	c := dial(t, port, shared().alice, true)
	c.get("/admin").want(t, 403, reason.Denied)
	c.get("/admin/").want(t, 400, reason.AmbiguousPath)
	c.get("/open").wantUser(t, "alice")
}

// Middleware can change the method that chi routes and not the method of the request: GET
// would be authorised and the handler for POST served.
// Covers E17.
func TestRouteMethodOverriddenBeforeTheGuardIsRefused(t *testing.T) {
	t.Parallel()
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, user:alice, *, GET, /*, allow")
	})
	override := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if m := r.Header.Get("X-Http-Method-Override"); m != "" {
				chi.RouteContext(r.Context()).RouteMethod = m
			}
			next.ServeHTTP(w, r)
		})
	}
	served := func(method string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Served", method)
			echo(w, r)
		}
	}
	routes := func(r chi.Router) {
		r.Get("/x", served("GET"))
		r.Post("/x", served("POST"))
		r.Delete("/x", served("DELETE"))
	}
	whole, parts, below := chi.NewRouter(), chi.NewRouter(), chi.NewRouter()
	whole.Use(override, guard.Handler)
	routes(whole)
	parts.Use(guard.Identify, override, guard.Authorize)
	routes(parts)
	below.Use(guard.Identify, override)
	below.Route("/sub", func(r chi.Router) {
		r.Use(guard.Authorize)
		routes(r)
	})
	for name, router := range map[string]struct {
		http.Handler
		path string
	}{"Handler": {whole, "/x"}, "Authorize": {parts, "/x"}, "Authorize below": {below, "/sub/x"}} {
		port := newPort(t, "p", ports.Request)
		serve(t, router, port)
		for _, h2 := range []bool{false, true} {
			c := dial(t, port, shared().alice, h2)
			for _, m := range []string{"POST", "DELETE", "get", "BREW", "HEAD"} {
				s := c.get(router.path, header("X-Http-Method-Override", m))
				if s.Code != 400 && s.Code != 405 || s.Answer.Get("Served") != "" {
					t.Errorf("%s: GET routed as %s: %d, served as %q", name, m, s.Code, s.Answer.Get("Served"))
				}
			}
			c.get(router.path).wantUser(t, "alice")
			c.get(router.path, header("X-Http-Method-Override", "GET")).wantUser(t, "alice")
			head := must[seen](t)(c.do("HEAD", router.path, header("X-Http-Method-Override", "GET")))
			if head.Code != 200 || head.Answer.Get("Served") != "GET" {
				t.Errorf("%s: HEAD as GET: %d", name, head.Code)
			}
		}
	}
}

// Covers E8.
func TestAuthorizeDecidesAboutTheServedPath(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, user:alice, *, GET, /open, allow", "p, user:alice, *, GET, /api/closed, allow", "p, user:alice, *, *, *, allow")
	})
	change := func(f func(*http.Request)) http.Handler {
		return guard.Identify(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u := *r.URL
			r.URL = &u
			f(r)
			guard.Authorize(echo).ServeHTTP(w, r)
		}))
	}
	h := http.NewServeMux()
	h.Handle("/api/", guard.Identify(http.StripPrefix("/api", guard.Authorize(echo))))
	h.Handle("/outside/", http.StripPrefix("/outside", guard.Handler(echo)))
	h.Handle("/dots/", change(func(r *http.Request) { r.URL.Path = "/x/../open" }))
	h.Handle("/bare/", change(func(r *http.Request) { r.URL.Path = "open" }))
	h.Handle("/star/", change(func(r *http.Request) { r.URL.Path = "*" }))
	h.Handle("/method/", change(func(r *http.Request) { r.Method = "get" }))
	h.Handle("/connect/", change(func(r *http.Request) { r.Method = "CONNECT" }))
	h.Handle("/delete/", change(func(r *http.Request) { r.URL.Path, r.Method = "/open", "DELETE" }))
	h.Handle("/raw/", change(func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/open", "/%6fpen" }))
	serve(t, h, port)
	both(t, func(t *testing.T, h2 bool) {
		c := dial(t, port, shared().alice, h2)
		for path, user := range map[string]string{"/api/open": "alice", "/outside/open": "alice", "/raw/x": "alice"} {
			s := c.get(path)
			if s.wantUser(t, user); s.Path != "/open" || s.RawPath != "" {
				t.Errorf("%s served %q %q", path, s.Path, s.RawPath)
			}
		}
		c.get("/api/closed").want(t, 403, reason.NoRule) // /closed is served
		c.get("/outside/x").want(t, 403, reason.NoRule)
		c.get("/delete/x").want(t, 403, reason.NoRule)
		for _, path := range []string{"/dots/x", "/bare/x", "/star/x", "/method/x", "/connect/x"} {
			c.get(path).want(t, 400, reason.AmbiguousPath)
		}
	})
}

// Covers E9.
func TestRuleEndsAtASegment(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) { c.Policy = newPolicy(t, "p, user:alice, *, GET, /admin/*, allow") })
	serve(t, guard.Handler(echo), port)
	c := dial(t, port, shared().alice, true)
	for _, path := range []string{"/admin", "/adminx", "/adminx/y", "/Admin/x"} {
		c.get(path).want(t, 403, reason.NoRule)
	}
	for _, path := range []string{"/admin/", "/admin/x", "/admin/x/"} {
		c.get(path).wantUser(t, "alice")
	}
}

// Covers D11.
func TestOptionsStarIsAPathOfItsOwn(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, user:alice, *, *, /*, allow", "p, user:bob, *, OPTIONS, *, allow")
	})
	serve(t, guard.Handler(echo), port)
	const star = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"
	dialRaw(t, port, shared().alice, "http/1.1").send(star).want(t, 403, reason.NoRule)
	dialRaw(t, port, shared().bob, "http/1.1").send(star).wantUser(t, "bob")
	if s := dialFrames(t, port, shared().alice).send("OPTIONS", "*"); s.Reason != reason.NoRule {
		t.Errorf("got %+v, want no-rule", s)
	}
	if s := dialFrames(t, port, shared().bob).send("OPTIONS", "*"); s.Code != 200 || s.Path != "*" {
		t.Errorf("got %+v, want 200 for the target *", s)
	}
}

// Covers A14, E14.
func TestHostMustBeAServerName(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.PerPort = map[string]middleware.PortConfig{"p": {ServerNames: []string{"API.acme.example.", "127.0.0.1", "2001:DB8::1"}}}
	})
	serve(t, guard.Handler(echo), port)
	for _, x := range []struct {
		sni, host string
		code      int
	}{
		{"api.acme.example", "api.acme.example", 200},
		{"API.Acme.Example", "API.ACME.EXAMPLE", 200},
		{"api.acme.example", "api.acme.example.", 200},
		{"api.acme.example", "api.acme.example:8443", 200},
		{"api.acme.example", "api.acme.example.:443", 200},
		{"api.acme.example", "api.acme.example:", 200},
		{"api.acme.example", "api.acme.example:evil", 421},
		{"api.acme.example", "api.acme.example..", 421},
		{"api.acme.example", "other.example", 421},
		{"api.acme.example", "xapi.acme.example", 421},
		{"api.acme.example", "api.acme.example.evil", 421},
		{"api.acme.example", "user@api.acme.example", 400}, // by net/http itself
		{"api.acme.example", "[::1]:443", 421},
		{"api.acme.example", ":443", 421},
		{"api.acme.example", "", 421},
		{"other.example", "api.acme.example", 421},
		{"localhost", "localhost", 421},
		{"", "api.acme.example", 421},
		{"", "127.0.0.1:8443", 200}, // a client sends no address as SNI
		{"", "127.0.0.2", 421},
		{"", "[2001:db8::1]:8443", 200},
		{"", "[2001:db8:0:0::1]", 200},
		{"", "[2001:db8::2]", 421},
		{"other.example", "127.0.0.1", 421},
	} {
		s := dialNamed(t, port, shared().alice, "http/1.1", x.sni).send("GET /x HTTP/1.1\r\nHost: " + x.host + "\r\n\r\n")
		if s.Code != x.code || x.code == 421 && s.Reason != reason.Misdirected {
			t.Errorf("SNI %q, Host %q: %d %s", x.sni, x.host, s.Code, s.Body)
		}
		if x.host == "" {
			continue
		}
		c := &h2Conn{rawConn: dialNamed(t, port, shared().alice, "h2", x.sni), stream: 1}
		c.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
		c.frame(frameSettings, 0, 0, nil)
		s = c.request([]field{{":method", "GET"}, {":scheme", "https"}, {":path", "/x"}, {":authority", x.host}}, "")
		if s.Code != x.code && (s.Code != 0 || x.code == 200) { // net/http may reset the stream
			t.Errorf("HTTP/2, SNI %q, authority %q: %d %s", x.sni, x.host, s.Code, s.Body)
		}
	}
	c := dialNamed(t, port, shared().alice, "http/1.1", "api.acme.example")
	if s := c.send("GET /x HTTP/1.1\r\nHost: api.acme.example\r\nHost: other\r\n\r\n"); s.Code != 400 {
		t.Errorf("two hosts: %d %s", s.Code, s.Body)
	}
	c = dialNamed(t, port, shared().alice, "http/1.1", "api.acme.example")
	c.send("GET /x HTTP/1.0\r\n\r\n").want(t, 421, reason.Misdirected)
}

// Covers E15.
func TestUpgradeIsAuthorized(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) { c.Policy = newPolicy(t, "p, user:alice, *, GET, /ws, allow") })
	serve(t, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		buffered.Flush()
		line, _ := buffered.ReadString('\n')
		fmt.Fprintf(buffered, "you said %s", line)
		buffered.Flush()
	})), port)
	upgrade := func(path string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	}
	c := dialRaw(t, port, shared().alice, "http/1.1")
	res := c.response(upgrade("/ws"))
	if res.StatusCode != 101 {
		t.Fatalf("answered %d, want 101", res.StatusCode)
	}
	fmt.Fprintf(c, "hello\n")
	if line, err := c.r.ReadString('\n'); line != "you said hello\n" {
		t.Errorf("got %q, %v; want the echo of hello", line, err)
	}
	// A refused upgrade is answered and ends the connection: the following bytes may belong to
	// the other protocol.
	c = dialRaw(t, port, shared().bob, "http/1.1")
	io.WriteString(c, upgrade("/ws")+"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if res, err := http.ReadResponse(c.r, nil); err != nil || res.StatusCode != 403 || !res.Close {
		t.Errorf("answered %+v, %v; want 403 and the end of the connection", res, err)
	} else if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("after a refused upgrade: %v, want the end of the connection", err)
	}
	dialRaw(t, port, nil, "http/1.1").send(upgrade("/ws")).want(t, 403, reason.NoCertificate)
}

// Bytes after a refused request are never part of another caller's request.
// Covers E12.
func TestBodyOfARefusedRequestIsNoRequest(t *testing.T) {
	t.Parallel()
	port := decided(t, same)
	c := dialRaw(t, port, nil, "http/1.1")
	hidden := "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
	c.send(fmt.Sprintf("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(hidden), hidden)).want(t, 403, reason.NoCertificate)
	c.send("GET /y HTTP/1.1\r\nHost: localhost\r\n\r\n").want(t, 403, reason.NoCertificate)
	if n := c.r.Buffered(); n > 0 {
		rest, _ := c.r.Peek(n)
		t.Errorf("a third answer: %q", bytes.TrimSpace(rest))
	}
	for _, smuggled := range []string{
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "Transfer-Encoding: gzip\r\n", "Transfer-Encoding : chunked\r\n",
		"Content-Length: 1\r\nContent-Length: 2\r\n", "Content-Length: +1\r\n", " folded: x\r\n",
	} {
		s := dialRaw(t, port, shared().alice, "http/1.1").send("POST /x HTTP/1.1\r\nHost: localhost\r\n" + smuggled + "\r\n0\r\n\r\n")
		if s.Code != 400 && s.Code != 501 {
			t.Errorf("%q: answered %d %s, want 400 or 501", strings.TrimSpace(smuggled), s.Code, s.Body)
		}
	}
}
