package middleware_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

var soak = flag.Bool("soak", false, "send 100,000 requests of 100 callers on one connection instead of 3,000")

// A gateway mixes its callers on one connection. Each request is its own caller's.
//
//	go test -race -run TestCallersOnOneGatewayConnection ./middleware -soak
//
// Covers F16.
func TestCallersOnOneGatewayConnectionAreNotMixed(t *testing.T) {
	t.Parallel()
	const callers = 100
	requests := 3000
	if *soak {
		requests = 100_000
	}
	states := make([]func(*http.Request), callers)
	want := make([]string, callers) // "200 user" or "403 reason"
	var table []certmap.Mapping
	for i := range states {
		name := fmt.Sprintf("user-%d", i)
		leaf := shared().ca.Leaf(name)
		states[i], want[i] = stated(leaf), "200 "+name
		switch i % 25 {
		case 0:
			states[i], want[i] = stated(nil), "200 Default"
		case 1:
			want[i] = "403 unmapped"
		case 2:
			states[i], want[i] = header("Client-Cert", "x"), "400 bad-header"
		default:
			table = append(table, certmap.Mapping{ID: name, User: name, Fingerprint: trust.FingerprintOf(leaf.Cert)})
		}
	}
	gate := newGate(t, "gate", ports.Require)
	var told atomic.Int64
	serve(t, newGuard(t, gated("gate", newReceiver(t), middleware.ToDefault), func(c *middleware.Config) {
		c.Map = must[*certmap.Table](t)(certmap.New(table...))
		c.Observe = func(_ *http.Request, o middleware.Outcome) {
			told.Add(1)
			if o.Identity != nil && o.Identity.Via == identity.Forwarded && o.Identity.User != o.Verified.Leaf().Subject.CommonName {
				t.Errorf("%s has the certificate of %s", o.Identity.User, o.Verified.Leaf().Subject.CommonName)
			}
		}
	}).Handler(echo), gate)
	c := dial(t, gate, atTheEdge().gateway, true)
	c.http.Timeout = time.Minute
	c.get("/x").wantUser(t, "Default") // the one connection
	var connections, mixed atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range requests / callers {
				r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "GET", c.url+"/x", nil))
				*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
					if !i.Reused {
						connections.Add(1)
					}
				}}))
				states[i](r)
				res, err := c.http.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				var s seen
				err = json.NewDecoder(res.Body).Decode(&s)
				res.Body.Close()
				got := fmt.Sprint(res.StatusCode, " ", s.User+string(s.Reason))
				if err != nil || got != want[i] {
					t.Errorf("caller %d: got %s, want %s (%v)", i, got, want[i], err)
					mixed.Add(1)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := told.Load(); n != int64(requests)+1 || connections.Load() != 0 {
		t.Errorf("%d decisions on %d further connections, want %d on none", n, connections.Load(), requests+1)
	}
	t.Logf("%d requests, %d mixed", requests, mixed.Load())
}

// The gateway's certificate counts on every request, like a user's on other ports.
// Covers F2, G1, G2.
func TestGatewayIsVerifiedWhileItsConnectionIsOpen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		var now clock
		gate := newGate(t, "gate", ports.Require)
		guard := newGuard(t, gated("gate", newReceiver(t, func(c *forwarded.Config) { c.Gateways.Trust = trusting(t, now.Now, nil, atTheEdge().ca) }), middleware.ToDefault))
		serve(t, guard.Handler(echo), gate)
		same := trusting(t, nil, nil, atTheEdge().ca) // as the root package keeps it where its files are the same
		next := func(change func(*forwarded.Config)) {
			t.Helper()
			r := newReceiver(t, func(c *forwarded.Config) { c.Gateways.Trust = same }, change)
			if err := guard.Reconfigure(config(t, gated("gate", r, middleware.ToDefault))); err != nil {
				t.Fatal(err)
			}
		}
		for _, x := range []struct {
			name   string
			change func()
			why    reason.Reason
		}{
			{"expired", func() { now.advance(48 * time.Hour) }, reason.Expired},
			{"revoked", func() {
				next(func(c *forwarded.Config) {
					c.Gateways.Trust = trusting(t, nil, []*x509.RevocationList{atTheEdge().ca.CRL(1, []*big.Int{atTheEdge().gateway.Cert.SerialNumber})}, atTheEdge().ca)
				})
			}, reason.Revoked},
			{"another name", func() { next(func(c *forwarded.Config) { c.Gateways.Names = []string{"new.acme.example"} }) }, reason.UntrustedGateway},
			{"another authority", func() {
				next(func(c *forwarded.Config) { c.Gateways.Trust = trusting(t, nil, nil, testpki.NewCA("New Gateway CA")) })
			}, reason.UntrustedGateway},
		} {
			next(func(*forwarded.Config) {})
			if x.why == reason.Expired {
				next(func(c *forwarded.Config) { c.Gateways.Trust = trusting(t, now.Now, nil, atTheEdge().ca) })
			}
			c := dial(t, gate, atTheEdge().gateway, h2)
			c.get("/x", stated(shared().alice)).wantUser(t, "alice")
			c.get("/x").wantUser(t, "Default")
			x.change()
			c.get("/x", reused(t), stated(shared().alice)).want(t, 403, x.why)
			c.get("/x", renewed(t)).want(t, 403, x.why) // the port's own trust has not changed
		}
	})
}

// renewed makes a request fail the test where it finds its connection open.
func renewed(t *testing.T) func(*http.Request) {
	return func(r *http.Request) {
		*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				t.Error("the connection is still open")
			}
		}}))
	}
}

// So do the user's certificate, mapping and policy, on the gateway's one connection,
// whoever was remembered.
// Covers F9, G1, G2, G6.
func TestForwardedUserIsVerifiedWhileTheConnectionIsOpen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		var now clock
		gate := newGate(t, "gate", ports.Require)
		users := func(crls ...*x509.RevocationList) *forwarded.Receiver {
			return newReceiver(t, func(c *forwarded.Config) { c.Users = trusting(t, now.Now, crls, shared().ca) })
		}
		live := certmap.NewLive(nil)
		m := mappings()[0]
		put := func(change func()) {
			t.Helper()
			change()
			if err := live.Put(m); err != nil {
				t.Fatal(err)
			}
		}
		guard := newGuard(t, func(c *middleware.Config) { c.Map = live }, gated("gate", users(), middleware.ToDefault))
		parts := guard.Identify(guard.Authorize(echo))
		h := http.NewServeMux()
		h.Handle("/", guard.Handler(echo))
		h.Handle("/parts", parts)
		serve(t, h, gate)
		c := dial(t, gate, atTheEdge().gateway, h2)
		alice := stated(shared().alice)
		get := func(target string) seen {
			t.Helper()
			return c.get(target, reused(t), alice)
		}
		next := func(r *forwarded.Receiver, change ...func(*middleware.Config)) {
			t.Helper()
			if err := guard.Reconfigure(config(t, append(change, gated("gate", r, middleware.ToDefault))...)); err != nil {
				t.Fatal(err)
			}
		}
		c.get("/x", alice).want(t, 403, reason.Unmapped)
		for _, x := range []struct {
			change func()
			user   string // or "" for unmapped
		}{
			{func() {}, "alice"}, {func() { m.User = "alicia" }, "alicia"}, {func() { m.Disabled = true }, ""},
			{func() { m.Disabled, m.Ports = false, []string{"elsewhere"} }, ""}, {func() { m.Ports = []string{"gate"} }, "alicia"},
		} {
			put(x.change)
			for _, target := range []string{"/x", "/parts", "/x"} {
				if s := get(target); x.user == "" {
					s.want(t, 403, reason.Unmapped)
				} else {
					s.wantUser(t, x.user)
				}
			}
		}
		live.Remove(m.ID)
		get("/x").want(t, 403, reason.Unmapped)

		next(users())
		get("/x").wantUser(t, "alice")
		next(users(), func(c *middleware.Config) {
			c.Policy = newPolicy(t, "p, group:staff, *, *, /x, allow", "g, user:alice, group:staff")
		})
		if s := get("/x"); !slices.Contains(s.Groups, "staff") {
			t.Errorf("groups %v", s.Groups)
		}
		get("/y").want(t, 403, reason.NoRule)
		next(users(), func(c *middleware.Config) { c.Policy = newPolicy(t, "p, user:alice, *, *, /x, deny") })
		get("/x").want(t, 403, reason.Denied)
		next(users(shared().ca.CRL(1, []*big.Int{shared().alice.Cert.SerialNumber})))
		get("/x").want(t, 403, reason.Revoked)
		c.get("/x", reused(t), stated(shared().bob)).wantUser(t, "bob")
		next(users(shared().ca.CRL(2, nil)))
		get("/x").wantUser(t, "alice")
		now.advance(20 * time.Hour)
		get("/x").wantUser(t, "alice")
		now.advance(28 * time.Hour)
		get("/x").want(t, 403, reason.Expired)
		c.get("/x", reused(t)).wantUser(t, "Default")
	})
}

// A mapping that begins or ends is asked every time.
// Covers G1.
func TestMappingOfAForwardedCertificateEnds(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		var now clock
		m := mappings()
		m[0].NotBefore, m[0].NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		m[1].NotBefore = time.Now().Add(time.Hour)
		gate := newGate(t, "gate", ports.Require)
		r := newReceiver(t, func(c *forwarded.Config) { c.Users = trusting(t, now.Now, nil, shared().ca) })
		serve(t, newGuard(t, gated("gate", r, middleware.Strict), func(c *middleware.Config) {
			c.Map = must[*certmap.Table](t)(certmap.New(m...)).WithClock(now.Now)
		}).Handler(echo), gate)
		c := dial(t, gate, atTheEdge().gateway, h2)
		for range 2 {
			c.get("/x", stated(shared().alice)).wantUser(t, "alice")
			c.get("/x", stated(shared().bob)).want(t, 403, reason.MappingExpired)
		}
		now.advance(2 * time.Hour)
		for range 2 {
			c.get("/x", reused(t), stated(shared().alice)).want(t, 403, reason.MappingExpired)
			c.get("/x", reused(t), stated(shared().bob)).wantUser(t, "bob")
		}
	})
}

// Ports remember apart: what one knows of a certificate is worth nothing on another.
// Covers F9.
func TestForwardedCertificateOnTwoPorts(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		elsewhere := testpki.NewCA("Elsewhere CA")
		m := []certmap.Mapping{
			{ID: "one", User: "alice-one", Fingerprint: trust.FingerprintOf(shared().alice.Cert), Ports: []string{"one"}},
			{ID: "two", User: "alice-two", Fingerprint: trust.FingerprintOf(shared().alice.Cert), Ports: []string{"two"}},
		}
		r := newReceiver(t) // even where they take the same
		one, two, other := newGate(t, "one", ports.Require), newGate(t, "two", ports.Require), newGate(t, "other", ports.Require)
		serve(t, newGuard(t, func(c *middleware.Config) { c.Map = must[*certmap.Table](t)(certmap.New(m...)) },
			gated("one", r, middleware.ToDefault), gated("two", r, middleware.ToDefault),
			gated("other", newReceiver(t, func(c *forwarded.Config) { c.Users = trusting(t, nil, nil, elsewhere) }), middleware.ToDefault),
		).Handler(echo), one, two, other)
		gateway := atTheEdge().gateway
		first, second, third := dial(t, one, gateway, h2), dial(t, two, gateway, h2), dial(t, other, gateway, h2)
		for range 2 {
			first.get("/x", stated(shared().alice)).wantUser(t, "alice-one")
			second.get("/x", stated(shared().alice)).wantUser(t, "alice-two")
			third.get("/x", stated(shared().alice)).want(t, 403, reason.UnknownAuthority)
		}
	})
}

// One leaf may lead to two anchors, by the chain that is forwarded with it, and be a user under
// each: who it was by the other way does not count.
// Covers B17, F10.
func TestForwardedCertificateByAnotherChain(t *testing.T) {
	t.Parallel()
	rootA, rootB, key := testpki.NewCA("Root A"), testpki.NewCA("Root B"), testpki.NewKey()
	sub := func(root *testpki.Pair) *testpki.Pair {
		return testpki.Make(root, key, rootTemplate("Sub CA"))
	}
	subA, subB := sub(rootA), sub(rootB)
	leaf := subA.Leaf("leaf", func(c *x509.Certificate) { c.DNSNames = []string{"leaf.acme.example"} })
	m := []certmap.Mapping{
		{ID: "a", User: "under-a", DNS: "leaf.acme.example", Issuer: trust.SPKIOf(rootA.Cert)},
		{ID: "b", User: "under-b", DNS: "leaf.acme.example", Issuer: trust.SPKIOf(rootB.Cert)},
	}
	gate := newGate(t, "gate", ports.Require)
	r := newReceiver(t, func(c *forwarded.Config) { c.Users = trusting(t, nil, nil, rootA, rootB) })
	serve(t, newGuard(t, gated("gate", r, middleware.Strict), func(c *middleware.Config) { c.Map = must[*certmap.Table](t)(certmap.New(m...)) }).Handler(echo), gate)
	c := dial(t, gate, atTheEdge().gateway, true)
	by := func(chain ...*testpki.Pair) seen {
		var issuers []string
		for _, p := range chain {
			issuers = append(issuers, sequence(p.Cert))
		}
		return c.get("/x", stated(leaf), header("Client-Cert-Chain", strings.Join(issuers, ", ")))
	}
	for range 2 {
		by(subA).wantUser(t, "under-a")
		by(subB).wantUser(t, "under-b")
		by(subA, subB).want(t, 403, reason.Ambiguous)
	}
}

func rootTemplate(name string) *x509.Certificate {
	block, _ := pem.Decode(testpki.NewCA(name).CertPEM())
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	return &x509.Certificate{Subject: c.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: c.KeyUsage, NotAfter: c.NotAfter}
}

// A port becomes one for gateways, and stops being one, under open connections: what
// they remember of one kind is worth nothing for the other.
// Covers G6.
func TestPortBecomesAGatewaysAndBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		gate := newGate(t, "gate", ports.Request)
		guard := newGuard(t, func(c *middleware.Config) { c.Fallback = middleware.ToDefault })
		serve(t, guard.Handler(echo), gate)
		next := func(change ...func(*middleware.Config)) {
			t.Helper()
			if err := guard.Reconfigure(config(t, append(change, func(c *middleware.Config) { c.Fallback = middleware.ToDefault })...)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			next()
			alice, gateway, nobody := dial(t, gate, shared().alice, h2), dial(t, gate, atTheEdge().gateway, h2), dial(t, gate, nil, h2)
			alice.get("/x", stated(shared().bob)).wantUser(t, "alice")
			gateway.get("/x", stated(shared().bob)).want(t, 403, reason.Unmapped)
			nobody.get("/x", stated(shared().bob)).wantUser(t, "Default")
			next(gated("gate", newReceiver(t), middleware.Strict))
			gateway.get("/x", stated(shared().bob)).wantUser(t, "bob")
			gateway.get("/x").want(t, 403, reason.NoCertificate)
			alice.get("/x", reused(t), stated(shared().bob)).want(t, 403, reason.UntrustedGateway)
			nobody.get("/x", reused(t), stated(shared().bob)).want(t, 403, reason.NoCertificate)
			next()
			gateway.get("/x", reused(t), stated(shared().bob)).want(t, 403, reason.Unmapped)
			nobody.get("/x", reused(t), stated(shared().bob)).wantUser(t, "Default")
		}
	})
}
