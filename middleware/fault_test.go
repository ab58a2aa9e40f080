package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

type mapFunc func() (certmap.Match, error)

func (f mapFunc) Map(context.Context, trust.Verified, string) (certmap.Match, error) { return f() }

type decideFunc func() (policy.Decision, error)

func (f decideFunc) Decide(context.Context, policy.Request) (policy.Decision, error) { return f() }

type authFunc func() (string, error)

func (f authFunc) Authenticate(*http.Request) (string, error) { return f() }

// A plug-in that fails refuses the request, also on a port with a fallback to Default and a
// user for unmapped certificates, and the server goes on.
// Covers H14, L1.
func TestFailingPlugInRefusesTheRequest(t *testing.T) {
	t.Parallel()
	yes := decideFunc(func() (policy.Decision, error) { return policy.Decision{Allowed: true}, nil })
	answers := func(user string, err error) mapFunc {
		return func() (certmap.Match, error) { return certmap.Match{User: user}, err }
	}
	var nilRefusal *reason.Refusal
	for _, x := range []struct {
		name   string
		holder string
		c      middleware.Config
		code   int
		why    reason.Reason
	}{
		{"mapper panics", "alice", middleware.Config{Map: mapFunc(func() (certmap.Match, error) { panic("x") })}, 503, reason.PolicyError},
		{"mapper panics with nil", "alice", middleware.Config{Map: mapFunc(func() (certmap.Match, error) { panic(nil) })}, 503, reason.PolicyError},
		{"mapper aborts", "alice", middleware.Config{Map: mapFunc(func() (certmap.Match, error) { panic(http.ErrAbortHandler) })}, 503, reason.PolicyError},
		{"mapper is a nil pointer", "alice", middleware.Config{Map: (*certmap.Live)(nil)}, 503, reason.PolicyError},
		{"mapper returns no user", "alice", middleware.Config{Map: answers("", nil)}, 403, reason.Unmapped},
		{"mapper returns Default", "alice", middleware.Config{Map: answers("Default", nil)}, 403, reason.Unmapped},
		{"mapper returns default", "alice", middleware.Config{Map: answers("default", nil)}, 403, reason.Unmapped},
		{"mapper returns a group", "alice", middleware.Config{Map: answers("group:x", nil)}, 403, reason.Unmapped},
		{"mapper returns Everybody", "alice", middleware.Config{Map: answers("Everybody", nil)}, 403, reason.Unmapped},
		{"mapper returns a newline", "alice", middleware.Config{Map: answers("alice\n", nil)}, 403, reason.Unmapped},
		{"mapper fails", "alice", middleware.Config{Map: answers("alice", errors.New("down"))}, 503, reason.PolicyError},
		{"mapper is late", "alice", middleware.Config{Map: answers("alice", context.DeadlineExceeded)}, 503, reason.PolicyError},
		{"mapper refuses with a user", "alice", middleware.Config{Map: answers("alice", reason.Refuse(reason.Ambiguous, ""))}, 403, reason.Ambiguous},
		{"mapper refuses for no certificate", "alice", middleware.Config{Map: answers("", reason.Refuse(reason.NoCertificate, ""))}, 403, reason.NoCertificate},
		{"mapper returns an empty refusal", "alice", middleware.Config{Map: answers("alice", &reason.Refusal{})}, 503, reason.PolicyError},
		{"mapper returns an unknown reason", "alice", middleware.Config{Map: answers("alice", reason.Refuse("user-42", ""))}, 503, reason.PolicyError},
		{"mapper returns a nil refusal", "alice", middleware.Config{Map: answers("alice", nilRefusal)}, 503, reason.PolicyError},
		{"decider panics", "alice", middleware.Config{Policy: decideFunc(func() (policy.Decision, error) { panic("x") })}, 503, reason.PolicyError},
		{"decider fails and allows", "alice", middleware.Config{Policy: decideFunc(func() (policy.Decision, error) { return policy.Decision{Allowed: true}, errors.New("down") })}, 503, reason.PolicyError},
		{"decider fails for Default", "", middleware.Config{Policy: decideFunc(func() (policy.Decision, error) { return policy.Decision{Allowed: true}, errors.New("down") })}, 503, reason.PolicyError},
		{"decider is a nil pointer", "alice", middleware.Config{Policy: (*policy.Engine)(nil)}, 503, reason.PolicyError},
		{"decider returns a zero decision", "alice", middleware.Config{Policy: decideFunc(func() (policy.Decision, error) { return policy.Decision{}, nil })}, 403, reason.NoRule},
		{"decider returns an unknown reason", "alice", middleware.Config{Policy: decideFunc(func() (policy.Decision, error) { return policy.Decision{Reason: "outside-hours"}, nil })}, 403, reason.Denied},
		{"authenticator panics", "", middleware.Config{PortConfig: middleware.PortConfig{Authenticators: []middleware.Authenticator{authFunc(func() (string, error) { panic("x") })}}}, 503, reason.PolicyError},
		{"authenticator fails", "", middleware.Config{PortConfig: middleware.PortConfig{Authenticators: []middleware.Authenticator{authFunc(func() (string, error) { return "alice", errors.New("down") })}}}, 401, reason.BadCredentials},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			if x.c.Map == nil {
				x.c.Map = c.Map
			}
			if x.c.Policy == nil {
				x.c.Policy = yes
			}
			x.c.Fallback, x.c.Unmapped = middleware.ToDefault, ""
			var rec recorder
			x.c.Observe = rec.observe
			guard := must[*middleware.Guard](t)(middleware.New(x.c))
			port := newPort(t, "p", ports.Request)
			h := http.NewServeMux()
			h.Handle("/whole", guard.Handler(echo))
			h.Handle("/parts", guard.Identify(guard.Authorize(echo)))
			h.HandleFunc("/check", func(w http.ResponseWriter, r *http.Request) {
				if o := guard.Check(r); o.Allowed || o.Status != x.code || o.Reason != x.why || o.Reference == "" {
					t.Errorf("Check: %+v", o)
				}
			})
			serve(t, h, port)
			client := dial(t, port, shared().pairs[x.holder], true)
			client.get("/check")
			for _, path := range []string{"/whole", "/parts", "/whole"} {
				client.get(path).want(t, x.code, x.why)
			}
			if got := rec.take(); len(got) != 3 {
				t.Errorf("%d outcomes for 3 requests", len(got))
			}
		})
	}
}

// A panic in the handler, in Observe or in Refuse is not served, and net/http goes on.
// Covers H14.
func TestPanicInAHandlerPasses(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name   string
		change func(*middleware.Config)
		next   http.Handler
		target string
	}{
		{"handler", func(*middleware.Config) {}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("x") }), "/x"},
		{"observe", func(c *middleware.Config) {
			c.Observe = func(*http.Request, middleware.Outcome) { panic("x") }
		}, echo, "/x"},
		{"refuse", func(c *middleware.Config) {
			c.Refuse = func(http.ResponseWriter, *http.Request, middleware.Outcome) { panic("x") }
			c.Policy = newPolicy(t, "# no rule")
		}, echo, "/x"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			port := newPort(t, "p", ports.Request)
			serve(t, newGuard(t, x.change).Handler(x.next), port)
			for range 2 {
				if s, err := dial(t, port, shared().alice, true).do("GET", x.target); err == nil {
					t.Errorf("answered %d %s", s.Code, s.Body)
				}
			}
		})
	}
}

// Covers L1.
func TestUnmappedUser(t *testing.T) {
	t.Parallel()
	named, refused := newPort(t, "named", ports.Request), newPort(t, "refused", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Unmapped = "guest" // not for ports in PerPort
		c.PerPort = map[string]middleware.PortConfig{"refused": {}}
	})
	serve(t, guard.Handler(echo), named, refused)
	both(t, func(t *testing.T, h2 bool) {
		s := dial(t, named, shared().unmapped, h2).get("/x")
		if s.wantUser(t, "guest"); s.Mapping != "" || s.Via != "tls" {
			t.Errorf("got %+v, want guest without a mapping", s)
		}
		dial(t, refused, shared().unmapped, h2).get("/x").want(t, 403, reason.Unmapped)
		dial(t, named, shared().both, h2).get("/x").want(t, 403, reason.Ambiguous)
		dial(t, named, nil, h2).get("/x").want(t, 403, reason.NoCertificate)
	})
}

func TestRefuseWritesTheBodyAlone(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	var got middleware.Outcome
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "# no rule")
		c.Refuse = func(w http.ResponseWriter, r *http.Request, o middleware.Outcome) {
			got = o
			switch r.URL.Path {
			case "/header":
				w.WriteHeader(http.StatusTeapot)
			case "/body":
				fmt.Fprint(w, "no")
			case "/hints":
				w.WriteHeader(http.StatusEarlyHints)
			}
		}
	})
	serve(t, guard.Handler(echo), port)
	c := dial(t, port, shared().alice, true)
	if s := c.get("/header"); s.Code != 403 || s.Body != "" { // the status is the refusal's
		t.Errorf("answered %d %q, want 403 without a body", s.Code, s.Body)
	}
	if got.Reason != reason.NoRule || got.Status != 403 || got.Reference == "" || got.Identity.User != "alice" || got.Port != "p" || got.Path != "/header" {
		t.Errorf("got %+v, want the outcome of alice's refusal", got)
	}
	if s := c.get("/body"); s.Code != 403 || s.Body != "no" {
		t.Errorf("answered %d %q, want 403 no", s.Code, s.Body)
	}
	// Fail closed: a Refuse hook that writes nothing does not answer 200.
	c.get("/nothing").want(t, 403, reason.NoRule)
	c.get("/hints").want(t, 403, reason.NoRule)
}

func TestAuthorizeNeedsItsOwnIdentify(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	var rec recorder
	strict := newGuard(t, func(c *middleware.Config) { c.Policy, c.Observe = newPolicy(t, "# no rule"), rec.observe })
	lax := newGuard(t)
	h := http.NewServeMux()
	h.Handle("/alone", strict.Authorize(echo))
	h.Handle("/other", lax.Identify(strict.Authorize(echo)))
	h.Handle("/handler", lax.Handler(lax.Authorize(echo)))
	h.Handle("/twice", lax.Identify(lax.Authorize(lax.Authorize(echo))))
	h.Handle("/nested", lax.Handler(lax.Handler(echo)))
	h.Handle("/denied", strict.Identify(strict.Authorize(echo)))
	serve(t, h, port)
	c := dial(t, port, shared().alice, true)
	c.get("/alone").want(t, 503, reason.PolicyError)
	c.get("/other").want(t, 503, reason.PolicyError)
	if got := rec.take(); len(got) != 2 || got[0].Path != "/alone" || got[0].Detail == "" {
		t.Errorf("observed %+v, want two requests, the first to /alone", got)
	}
	c.get("/handler").want(t, 503, reason.PolicyError)
	c.get("/twice").wantUser(t, "alice")
	c.get("/nested").wantUser(t, "alice")
	c.get("/denied").want(t, 403, reason.NoRule)
}

func TestDebugExplains(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	change := func(debug bool) *middleware.Guard {
		return newGuard(t, func(c *middleware.Config) {
			c.Debug = debug
			c.Policy = newPolicy(t, "p, user:alice, *, *, /secret, deny")
		})
	}
	h := http.NewServeMux()
	h.Handle("/", change(true).Handler(echo))
	quiet := change(false)
	h.Handle("/quiet/", http.StripPrefix("/quiet", quiet.Handler(echo)))
	serve(t, h, port)
	c := dial(t, port, shared().alice, true)
	s := c.get("/secret")
	s.want(t, 403, reason.Denied)
	all := fmt.Sprint(s.Explained)
	for _, part := range []string{"certificate", "m-alice", "alice", "policy.csv:1"} {
		if !contains(all, part) {
			t.Errorf("%q is not in %s", part, all)
		}
	}
	if s := c.get("/quiet/secret"); s.Explained != nil || contains(s.Body, "alice") {
		t.Errorf("explained: %s", s.Body)
	}
	for _, holder := range []string{"", "unmapped", "both"} {
		if s := dial(t, port, shared().pairs[holder], false).get("/x"); len(s.Explained) == 0 {
			t.Errorf("%q: nothing explained: %s", holder, s.Body)
		}
	}
}

// A certificate with a disabled mapping, with an expired one, or banned by a mapper is
// refused: it does not become the user for unmapped certificates.
//
// Covers C22.
func TestDisabledCertificateIsNotTheUnmappedUser(t *testing.T) {
	t.Parallel()
	with := func(change func(*certmap.Mapping)) certmap.Mapper {
		m := mappings()
		for i := range m {
			change(&m[i])
		}
		return must[*certmap.Table](t)(certmap.New(m...))
	}
	for _, row := range []struct {
		name string
		m    certmap.Mapper
		want reason.Reason
	}{
		{"disabled", with(func(m *certmap.Mapping) { m.Disabled = true }), reason.Unmapped},
		{"over", with(func(m *certmap.Mapping) { m.NotAfter = time.Now().Add(-time.Hour) }), reason.MappingExpired},
		{"not yet", with(func(m *certmap.Mapping) { m.NotBefore = time.Now().Add(time.Hour) }), reason.MappingExpired},
		{"banned", mapFunc(func() (certmap.Match, error) {
			return certmap.Match{}, &reason.Refusal{Reason: reason.Unmapped, Detail: "banned", Err: certmap.ErrDisabled}
		}), reason.Unmapped},
	} {
		port := newPort(t, "p", ports.Request)
		var disabled atomic.Pointer[string]
		serve(t, newGuard(t, func(c *middleware.Config) {
			c.Map, c.Unmapped = row.m, "guest"
			c.Observe = func(_ *http.Request, o middleware.Outcome) { disabled.Store(&o.DisabledMapping) }
		}).Handler(echo), port)
		both(t, func(t *testing.T, h2 bool) {
			dial(t, port, shared().alice, h2).get("/x").want(t, 403, row.want)
			want := ""
			if row.name == "disabled" {
				want = "m-alice"
			}
			if got := disabled.Load(); got == nil || *got != want {
				t.Errorf("%s: the outcome names the mapping %v, want %q", row.name, got, want)
			}
			if row.name != "banned" {
				dial(t, port, shared().unmapped, h2).get("/x").wantUser(t, "guest")
			}
		})
	}
}
