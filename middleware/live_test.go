package middleware_test

import (
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// reused makes a request fail the test if it needs a new connection.
func reused(t *testing.T) func(*http.Request) {
	return func(r *http.Request) {
		*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if !i.Reused {
				t.Error("the connection is not reused")
			}
		}}))
	}
}

// Covers G6.
func TestReconfigureActsOnOpenConnections(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		port := newPort(t, "p", ports.Request)
		guard := newGuard(t)
		parts := guard.Identify(guard.Authorize(echo))
		h := http.NewServeMux()
		h.Handle("/", guard.Handler(echo))
		h.Handle("/parts", parts)
		serve(t, h, port)
		c, anonymous := dial(t, port, shared().alice, h2), dial(t, port, nil, h2)
		c.get("/x").wantUser(t, "alice")
		anonymous.get("/x").want(t, 403, reason.NoCertificate)
		again := reused(t)
		next := func(change func(*middleware.Config)) {
			t.Helper()
			if err := guard.Reconfigure(config(t, change)); err != nil {
				t.Fatal(err)
			}
		}
		next(func(c *middleware.Config) { c.Policy = newPolicy(t, "p, user:alice, *, *, /x, deny") })
		c.get("/x", again).want(t, 403, reason.Denied)
		c.get("/parts", again).want(t, 403, reason.NoRule)

		next(func(c *middleware.Config) { c.Map = must[*certmap.Table](t)(certmap.New(mappings()[1:]...)) })
		c.get("/x", again).want(t, 403, reason.Unmapped)
		c.get("/parts", again).want(t, 403, reason.Unmapped)

		next(func(c *middleware.Config) {
			m := mappings()
			m[0].User = "alicia"
			c.Map = must[*certmap.Table](t)(certmap.New(m...))
			c.Policy = newPolicy(t, "p, group:staff, *, *, /*, allow", "g, user:alicia, group:staff")
			c.Fallback = middleware.ToDefault
		})
		s := c.get("/x", again)
		if s.wantUser(t, "alicia"); !slices.Equal(s.Groups, []string{"Authenticated", "Everybody", "staff"}) {
			t.Errorf("groups %v", s.Groups)
		}
		anonymous.get("/x", again).want(t, 403, reason.NoRule)

		if err := guard.Reconfigure(middleware.Config{}); err == nil {
			t.Error("an invalid configuration was accepted")
		}
		c.get("/x", again).wantUser(t, "alicia")

		next(func(c *middleware.Config) { c.Fallback = middleware.ToDefault })
		anonymous.get("/x", again).wantUser(t, "Default")
		anonymous.get("/x", again).wantUser(t, "Default")
		next(func(*middleware.Config) {})
		anonymous.get("/x", again).want(t, 403, reason.NoCertificate) // strict again
		c.get("/x", again).wantUser(t, "alice")
	})
}

// Identify and Authorize of one request never mix two configurations.
// Covers G6.
func TestOneGenerationDecidesARequest(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	var rec recorder
	guard := newGuard(t, func(c *middleware.Config) { c.Generation, c.Observe = 1, rec.observe })
	serve(t, guard.Identify(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := guard.Reconfigure(config(t, func(c *middleware.Config) { c.Generation, c.Policy = 2, newPolicy(t, "# no rule") })); err != nil {
			t.Error(err)
		}
		guard.Authorize(echo).ServeHTTP(w, r)
	})), port)
	c := dial(t, port, shared().alice, true)
	c.get("/x").wantUser(t, "alice")
	if got := rec.take(); len(got) != 1 || got[0].Generation != 1 {
		t.Errorf("observed %+v, want one request of generation 1", got)
	}
	c.get("/x").want(t, 403, reason.NoRule)
}

// Covers G6.
func TestLiveMappingsActOnOpenConnections(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		live := certmap.NewLive(nil)
		port := newPort(t, "p", ports.Request)
		serve(t, newGuard(t, func(c *middleware.Config) { c.Map = live }).Handler(echo), port)
		c := dial(t, port, shared().alice, h2)
		c.get("/x").want(t, 403, reason.Unmapped)
		again := reused(t)
		m := mappings()[0]
		put := func(change func()) {
			t.Helper()
			change()
			if err := live.Put(m); err != nil {
				t.Fatal(err)
			}
		}
		put(func() {})
		c.get("/x", again).wantUser(t, "alice")
		put(func() { m.User = "alicia" })
		c.get("/x", again).wantUser(t, "alicia")
		put(func() { m.Disabled = true })
		c.get("/x", again).want(t, 403, reason.Unmapped)
		put(func() { m.Disabled, m.Ports = false, []string{"elsewhere"} })
		c.get("/x", again).want(t, 403, reason.Unmapped)
		put(func() { m.Ports = nil })
		c.get("/x", again).wantUser(t, "alicia")
		live.Remove(m.ID)
		c.get("/x", again).want(t, 403, reason.Unmapped)
	})
}

// movingGroups is a policy whose groups change without a new configuration.
type movingGroups struct {
	policy.Decider
	mu     sync.Mutex
	groups []string
}

func (m *movingGroups) Groups(string) []string { m.mu.Lock(); defer m.mu.Unlock(); return m.groups }

// Covers G6.
func TestGroupsOfAChangingPolicyAreCurrent(t *testing.T) {
	t.Parallel()
	m := &movingGroups{Decider: newPolicy(t), groups: []string{"one"}}
	port := newPort(t, "p", ports.Request)
	serve(t, newGuard(t, func(c *middleware.Config) { c.Policy, c.Fallback = m, middleware.ToDefault }).Handler(echo), port)
	c, anonymous := dial(t, port, shared().alice, true), dial(t, port, nil, true)
	for _, groups := range [][]string{{"one"}, {"two"}, nil} {
		m.mu.Lock()
		m.groups = groups
		m.mu.Unlock()
		for _, c := range []*client{c, anonymous} {
			if s := c.get("/x"); s.Code != 200 || !slices.Equal(s.Groups, groups) {
				t.Errorf("groups %v, want %v", s.Groups, groups)
			}
		}
	}
}

// Covers G1.
func TestExpiredCertificateIsRefusedOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		var now testkit.Clock
		port := newPort(t, "p", ports.Request, func(c *ports.Config) { c.Trust = newTrust(t, now.Now) })
		guard := newGuard(t, func(c *middleware.Config) {
			c.Fallback, c.Authenticators = middleware.ToDefault, []middleware.Authenticator{basic}
		})
		serve(t, guard.Handler(echo), port)
		c := dial(t, port, shared().alice, h2)
		c.get("/x").wantUser(t, "alice")
		now.Advance(48 * time.Hour)
		s := c.get("/x", reused(t), credentials("carol", "secret")) // neither Default nor carol
		s.want(t, 403, reason.Expired)
		if _, err := c.do("GET", "/x"); err == nil {
			t.Error("the connection is still open, or another one was made with an expired certificate")
		}
	})
}

// Covers G1.
func TestExpiredMappingIsRefusedOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		var now testkit.Clock
		m := mappings()
		m[0].NotAfter = time.Now().Add(time.Hour)
		table := must[*certmap.Table](t)(certmap.New(m...)).WithClock(now.Now)
		port := newPort(t, "p", ports.Request, func(c *ports.Config) { c.Trust = newTrust(t, now.Now) })
		serve(t, newGuard(t, func(c *middleware.Config) { c.Map = table }).Handler(echo), port)
		c := dial(t, port, shared().alice, h2)
		c.get("/x").wantUser(t, "alice")
		c.get("/x").wantUser(t, "alice")
		now.Advance(2 * time.Hour)
		c.get("/x", reused(t)).want(t, 403, reason.MappingExpired)
	})
}

// A trust of the guard revokes the certificate before the trust of the port does.
// Covers G2.
func TestRevokedCertificateIsRefusedOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		port := newPort(t, "p", ports.Request)
		guard := newGuard(t, func(c *middleware.Config) { c.Fallback = middleware.ToDefault })
		serve(t, guard.Handler(echo), port)
		alice, bob := dial(t, port, shared().alice, h2), dial(t, port, shared().bob, h2)
		alice.get("/x").wantUser(t, "alice")
		bob.get("/x").wantUser(t, "bob")
		v := must[*trust.Verifier](t)(trust.New(trust.Config{
			Anchors: []*x509.Certificate{shared().ca.Cert},
			CRLs:    []*x509.RevocationList{shared().ca.CRL(1, []*big.Int{shared().alice.Cert.SerialNumber})},
		}))
		if err := guard.Reconfigure(config(t, func(c *middleware.Config) {
			c.PerPort = map[string]middleware.PortConfig{"p": {Trust: v, Fallback: middleware.ToDefault}}
		})); err != nil {
			t.Fatal(err)
		}
		alice.get("/x", reused(t)).want(t, 403, reason.Revoked)
		bob.get("/x", reused(t)).wantUser(t, "bob")
	})
}

func TestCheckDecidesAsHandlerDoes(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	var rec recorder
	// An authenticator that trusts a header, and changes the request.
	gullible := token{"X-Remote-User", func(v string) (string, error) { return v, nil }}
	meddling := authFuncOf(func(r *http.Request) (string, error) {
		r.Header.Set("Meddled", "yes")
		r.URL.Path = "/y"
		return "", nil
	})
	guard := newGuard(t, func(c *middleware.Config) {
		c.Observe, c.Fallback = rec.observe, middleware.ToDefault
		c.Authenticators = []middleware.Authenticator{gullible, meddling}
		c.Policy = newPolicy(t, "p, group:Everybody, *, GET, /x, allow", "p, user:root, *, *, /*, allow")
	})
	h := guard.Handler(echo)
	serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before := r.Clone(r.Context())
		o := guard.Check(r)
		if !reflect.DeepEqual(before.Header, r.Header) || !reflect.DeepEqual(before.URL, r.URL) || !reflect.DeepEqual(before.Trailer, r.Trailer) || before.Method != r.Method {
			t.Errorf("Check changed the request: %v, was %v", r.Header, before.Header)
		}
		if len(rec.take()) != 0 {
			t.Error("Check called Observe")
		}
		h.ServeHTTP(w, r)
		got := rec.take()
		if len(got) != 1 {
			t.Fatalf("%d outcomes", len(got))
		}
		if p := got[0]; p.Allowed != o.Allowed || p.Reason != o.Reason || p.Status != o.Status || p.Path != o.Path || p.Rule != o.Rule || (p.Identity == nil) != (o.Identity == nil) ||
			p.Identity != nil && !reflect.DeepEqual(*p.Identity, *o.Identity) {
			t.Errorf("Check %+v\nHandler %+v", o, p)
		}
	}), port)
	for holder := range shared().pairs {
		c := dial(t, port, shared().pairs[holder], false)
		for _, target := range []string{"/x", "/y", "/a/%2e/b", "/x?q"} {
			s, err := c.do("GET", target, header("X-Remote-User", "root"), header("Client_cert", "x"))
			if err == nil && s.User == "root" {
				t.Error("a header made the caller root")
			}
		}
	}
}

type authFuncOf func(*http.Request) (string, error)

func (f authFuncOf) Authenticate(r *http.Request) (string, error) { return f(r) }

// Covers L8.
func TestOneOutcomeForADecision(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	var rec recorder
	guard := newGuard(t, func(c *middleware.Config) {
		c.Observe, c.Time, c.Generation = rec.observe, true, 7
		c.Policy = newPolicy(t, "p, user:alice, *, GET, /x, allow", "p, user:alice, *, *, /no, deny")
	})
	h := http.NewServeMux()
	h.Handle("/", guard.Handler(echo))
	h.Handle("/parts/", guard.Identify(http.StripPrefix("/parts", guard.Authorize(echo))))
	serve(t, h, port)
	for _, x := range []struct {
		holder, target string
		why            reason.Reason
		path, rule     string
	}{
		{"alice", "/x", "", "/x", "policy.csv:1"},
		{"alice", "/no", reason.Denied, "/no", "policy.csv:2"},
		{"alice", "/other", reason.NoRule, "/other", ""},
		{"alice", "/parts/x", "", "/x", "policy.csv:1"},
		{"alice", "/parts/no", reason.Denied, "/no", "policy.csv:2"},
		{"alice", "/b%5cc", reason.AmbiguousPath, "/b%5cc", ""},
		{"", "/parts/x", reason.NoCertificate, "/parts/x", ""},
		{"unmapped", "/x", reason.Unmapped, "/x", ""},
	} {
		s := dial(t, port, shared().pairs[x.holder], true).get(x.target)
		all := rec.take()
		if len(all) != 1 {
			t.Errorf("%s: %d outcomes", x.target, len(all))
			continue
		}
		o := all[0]
		if o.Reason != x.why || o.Allowed != (x.why == "") || o.Path != x.path || o.Rule.String() != x.rule || o.Port != "p" || o.Method != "GET" || o.Generation != 7 || o.Duration <= 0 {
			t.Errorf("%s: observed %+v, want reason %q, path %q, rule %q", x.target, o, x.why, x.path, x.rule)
		}
		if o.Reference != s.Reference || (o.Reference == "") != o.Allowed {
			t.Errorf("%s: the reference is %q in the answer, %q for the log", x.target, s.Reference, o.Reference)
		}
		if x.holder == "unmapped" && (o.Verified.IsZero() || o.Identity != nil) {
			t.Errorf("observed %+v, want the certificate without an identity", o)
		}
	}
}

// Callers on one HTTP/2 connection each are not mixed while the configuration is replaced.
// Covers G6.
func TestReconfigureUnderLoadMixesNoGenerations(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	live := certmap.NewLive(must[*certmap.Table](t)(certmap.New(mappings()...)))
	change := func(c *middleware.Config) { c.Map = live }
	guard := newGuard(t, change)
	serve(t, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		if len(r.TLS.PeerCertificates) > 0 && r.TLS.PeerCertificates[0].Subject.CommonName != id.User {
			t.Errorf("%s is identified as %s", r.TLS.PeerCertificates[0].Subject.CommonName, id.User)
		}
		echo(w, r)
	})), port)
	var callers sync.WaitGroup
	for _, holder := range []string{"alice", "bob"} {
		c := dial(t, port, shared().pairs[holder], true)
		c.get("/x").wantUser(t, holder)
		for range 4 {
			callers.Go(func() {
				for range 50 {
					if s, err := c.do("GET", "/x"); err != nil || s.User != holder {
						t.Errorf("%s: got %+v, %v; want the same user", holder, s, err)
					}
				}
			})
		}
	}
	extra := mappings()[0]
	extra.ID, extra.Fingerprint = "extra", trust.FingerprintOf(shared().unmapped.Cert)
	for range 50 {
		if err := guard.Reconfigure(config(t, change)); err != nil {
			t.Fatal(err)
		}
		if err := live.Put(extra); err != nil {
			t.Fatal(err)
		}
		live.Remove(extra.ID)
	}
	callers.Wait()
}
