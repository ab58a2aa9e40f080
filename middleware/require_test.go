package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Routes of chi require groups and users beyond the policy. Their refusals are answered and
// observed as the guard's own.
func TestRoutesRequireGroupsAndUsers(t *testing.T) {
	t.Parallel()
	port, open := newPort(t, "p", ports.Request), newPort(t, "open", ports.Request)
	var rec recorder
	basic := middleware.Basic{Realm: "r", Check: middleware.Passwords(map[string]string{"carol": "secret"})}
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, group:Everybody, *, GET, /*, allow\ng, user:alice, group:admins")
		c.Observe = rec.observe
		c.PerPort = map[string]middleware.PortConfig{"p": {}, "open": {Fallback: middleware.ToDefault, Authenticators: []middleware.Authenticator{basic}}}
	})
	r := chi.NewRouter()
	r.Use(guard.Handler)
	r.Get("/any", echo.ServeHTTP)
	r.With(guard.RequireGroup("admins")).Get("/admins", echo.ServeHTTP)
	r.With(guard.RequireGroup("staff", "admins")).Get("/either", echo.ServeHTTP)
	r.With(guard.RequireUser("alice")).Get("/alice", echo.ServeHTTP)
	r.With(guard.RequireGroup()).Get("/no-group", echo.ServeHTTP)
	r.With(guard.RequireUser("Default")).Get("/default", echo.ServeHTTP)
	r.Route("/sub", func(r chi.Router) {
		r.Use(guard.RequireGroup(identity.Authenticated))
		r.Get("/named", echo.ServeHTTP)
	})
	serve(t, r, port, open)
	for _, h2 := range []bool{false, true} {
		alice, bob, nobody := dial(t, port, shared().alice, h2), dial(t, port, shared().bob, h2), dial(t, open, nil, h2)
		for _, path := range []string{"/any", "/admins", "/either", "/alice", "/sub/named"} {
			alice.get(path).wantUser(t, "alice")
		}
		for _, path := range []string{"/no-group", "/default"} {
			alice.get(path).want(t, 403, reason.Denied)
		}
		bob.get("/any").wantUser(t, "bob")
		bob.get("/sub/named").wantUser(t, "bob")
		for _, path := range []string{"/admins", "/either", "/alice", "/no-group"} {
			bob.get(path).want(t, 403, reason.Denied)
			all := rec.take() // the guard allows the request, and then the route refuses it
			o := all[len(all)-1]
			if o.Allowed || o.Reason != reason.Denied || o.Path != path || o.Port != "p" || o.Identity == nil || o.Identity.User != "bob" || o.Reference == "" ||
				!strings.Contains(o.Detail, "the handler requires one of the") || len(o.Presented) != 1 || !o.Presented[0].Equal(o.Identity.Leaf) {
				t.Errorf("%s is observed as %+v", path, o)
			}
			if steps := guard.Explain(o); !slices.ContainsFunc(steps, func(s string) bool { return strings.HasPrefix(s, "denied: the handler requires") }) {
				t.Errorf("%s is explained by %q", path, steps)
			}
		}
		nobody.get("/any").wantUser(t, identity.Default)
		for _, path := range []string{"/admins", "/alice", "/default", "/sub/named"} {
			nobody.get(path).want(t, 401, reason.Denied) // with the challenge of the port
		}
	}
}

// Without a guard outside there is no identity, and every request is refused.
func TestRequirementWithoutGuardRefuses(t *testing.T) {
	t.Parallel()
	reached := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was reached") })
	guard := newGuard(t)
	for name, h := range map[string]http.Handler{
		"group":             guard.RequireGroup(identity.Everybody)(reached),
		"user":              guard.RequireUser("alice")(reached),
		"a guard that is 0": new(middleware.Guard).RequireGroup(identity.Everybody)(reached),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != reason.PolicyError.Status() || !strings.Contains(w.Body.String(), `"reason":"policy-error"`) {
			t.Errorf("%s: answered %d %s, want policy-error", name, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	guard.RequireGroup("x")(nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 {
		t.Errorf("no handler: %d", w.Code)
	}
	if (identity.Identity{}).In(identity.Everybody) {
		t.Error("the zero Identity is in a group")
	}
}
