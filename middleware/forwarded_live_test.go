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
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

var soak = flag.Bool("soak", false, "send 100,000 requests of 100 callers on one connection instead of 3,000")

// A gateway sends the requests of many callers on one connection. Each request is decided for
// its own caller.
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
	forward := make([]func(*http.Request), callers)
	want := make([]string, callers) // "200 user" or "403 reason"
	var table []certmap.Mapping
	for i := range forward {
		name := fmt.Sprintf("user-%d", i)
		leaf := shared().ca.Leaf(name)
		forward[i], want[i] = forwards(leaf), "200 "+name
		switch i % 25 {
		case 0:
			forward[i], want[i] = forwards(nil), "200 Default"
		case 1:
			want[i] = "403 unmapped"
		case 2:
			forward[i], want[i] = header("Client-Cert", "x"), "400 bad-header"
		default:
			table = append(table, certmap.Mapping{ID: name, User: name, Fingerprint: trust.FingerprintOf(leaf.Cert)})
		}
	}
	gate := newGatewayPort(t, "gate", ports.Require)
	var decisions atomic.Int64
	serve(t, newGuard(t, withReceiver("gate", newReceiver(t), middleware.ToDefault), func(c *middleware.Config) {
		c.Map = must[*certmap.Table](t)(certmap.New(table...))
		c.Observe = func(_ *http.Request, o middleware.Outcome) {
			decisions.Add(1)
			if o.Identity != nil && o.Identity.Via == identity.Forwarded && o.Identity.User != o.Verified.Leaf().Subject.CommonName {
				t.Errorf("%s has the certificate of %s", o.Identity.User, o.Verified.Leaf().Subject.CommonName)
			}
		}
	}).Handler(echo), gate)
	c := dial(t, gate, gatewayPKI().gateway, true)
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
				forward[i](r)
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
	if n := decisions.Load(); n != int64(requests)+1 || connections.Load() != 0 {
		t.Errorf("%d decisions on %d further connections, want %d on none", n, connections.Load(), requests+1)
	}
	t.Logf("%d requests, %d mixed", requests, mixed.Load())
}

// The gateway's certificate is verified for every request, as a user's on other ports.
// Covers F2, G1, G2.
func TestGatewayIsVerifiedWhileItsConnectionIsOpen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		var now testkit.Clock
		gate := newGatewayPort(t, "gate", ports.Require)
		guard := newGuard(t, withReceiver("gate", newReceiver(t, func(c *forwarded.Config) { c.Gateways.Trust = trusting(t, now.Now, nil, gatewayPKI().ca) }), middleware.ToDefault))
		serve(t, guard.Handler(echo), gate)
		same := trusting(t, nil, nil, gatewayPKI().ca) // the root package keeps a trust with unchanged files too
		next := func(change func(*forwarded.Config)) {
			t.Helper()
			r := newReceiver(t, func(c *forwarded.Config) { c.Gateways.Trust = same }, change)
			if err := guard.Reconfigure(config(t, withReceiver("gate", r, middleware.ToDefault))); err != nil {
				t.Fatal(err)
			}
		}
		for _, x := range []struct {
			name   string
			change func()
			why    reason.Reason
		}{
			{"expired", func() { now.Advance(48 * time.Hour) }, reason.Expired},
			{"revoked", func() {
				next(func(c *forwarded.Config) {
					c.Gateways.Trust = trusting(t, nil, []*x509.RevocationList{gatewayPKI().ca.CRL(1, []*big.Int{gatewayPKI().gateway.Cert.SerialNumber})}, gatewayPKI().ca)
				})
			}, reason.Revoked},
			{"another name", func() { next(func(c *forwarded.Config) { c.Gateways.Names = []string{"new.acme.example"} }) }, reason.UntrustedGateway},
			{"another authority", func() {
				next(func(c *forwarded.Config) { c.Gateways.Trust = trusting(t, nil, nil, testpki.NewCA("New Gateway CA")) })
			}, reason.UntrustedGateway},
		} {
			next(func(*forwarded.Config) {})
			if x.why == reason.Expired {
				next(func(c *forwarded.Config) { c.Gateways.Trust = trusting(t, now.Now, nil, gatewayPKI().ca) })
			}
			c := dial(t, gate, gatewayPKI().gateway, h2)
			c.get("/x", forwards(shared().alice)).wantUser(t, "alice")
			c.get("/x").wantUser(t, "Default")
			x.change()
			c.get("/x", reused(t), forwards(shared().alice)).want(t, 403, x.why)
			c.get("/x", renewed(t)).want(t, 403, x.why) // the port's own trust has not changed
		}
	})
}

// renewed makes a request fail the test if its connection is not new.
func renewed(t *testing.T) func(*http.Request) {
	return func(r *http.Request) {
		*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				t.Error("the connection is still open")
			}
		}}))
	}
}

// The user's certificate, mapping and policy are checked for every request on the gateway's
// one connection, also with a cached caller.
// Covers F9, G1, G2, G6.
func TestForwardedUserIsVerifiedWhileTheConnectionIsOpen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		var now testkit.Clock
		gate := newGatewayPort(t, "gate", ports.Require)
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
		guard := newGuard(t, func(c *middleware.Config) { c.Map = live }, withReceiver("gate", users(), middleware.ToDefault))
		parts := guard.Identify(guard.Authorize(echo))
		h := http.NewServeMux()
		h.Handle("/", guard.Handler(echo))
		h.Handle("/parts", parts)
		serve(t, h, gate)
		c := dial(t, gate, gatewayPKI().gateway, h2)
		alice := forwards(shared().alice)
		get := func(target string) seen {
			t.Helper()
			return c.get(target, reused(t), alice)
		}
		next := func(r *forwarded.Receiver, change ...func(*middleware.Config)) {
			t.Helper()
			if err := guard.Reconfigure(config(t, append(change, withReceiver("gate", r, middleware.ToDefault))...)); err != nil {
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
		c.get("/x", reused(t), forwards(shared().bob)).wantUser(t, "bob")
		next(users(shared().ca.CRL(2, nil)))
		get("/x").wantUser(t, "alice")
		now.Advance(20 * time.Hour)
		get("/x").wantUser(t, "alice")
		now.Advance(28 * time.Hour)
		get("/x").want(t, 403, reason.Expired)
		c.get("/x", reused(t)).wantUser(t, "Default")
	})
}

// The dates of a mapping are checked for every request.
// Covers G1.
func TestMappingOfAForwardedCertificateEnds(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		var now testkit.Clock
		m := mappings()
		m[0].NotBefore, m[0].NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		m[1].NotBefore = time.Now().Add(time.Hour)
		gate := newGatewayPort(t, "gate", ports.Require)
		r := newReceiver(t, func(c *forwarded.Config) { c.Users = trusting(t, now.Now, nil, shared().ca) })
		serve(t, newGuard(t, withReceiver("gate", r, middleware.Strict), func(c *middleware.Config) {
			c.Map = must[*certmap.Table](t)(certmap.New(m...)).WithClock(now.Now)
		}).Handler(echo), gate)
		c := dial(t, gate, gatewayPKI().gateway, h2)
		for range 2 {
			c.get("/x", forwards(shared().alice)).wantUser(t, "alice")
			c.get("/x", forwards(shared().bob)).want(t, 403, reason.MappingExpired)
		}
		now.Advance(2 * time.Hour)
		for range 2 {
			c.get("/x", reused(t), forwards(shared().alice)).want(t, 403, reason.MappingExpired)
			c.get("/x", reused(t), forwards(shared().bob)).wantUser(t, "bob")
		}
	})
}

// Each port has its own cache: the cached caller of a certificate is not used on another port.
// Covers F9.
func TestForwardedCertificateOnTwoPorts(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		elsewhere := testpki.NewCA("Elsewhere CA")
		m := []certmap.Mapping{
			{ID: "one", User: "alice-one", Fingerprint: trust.FingerprintOf(shared().alice.Cert), Ports: []string{"one"}},
			{ID: "two", User: "alice-two", Fingerprint: trust.FingerprintOf(shared().alice.Cert), Ports: []string{"two"}},
		}
		r := newReceiver(t) // the ports share this receiver
		one, two, other := newGatewayPort(t, "one", ports.Require), newGatewayPort(t, "two", ports.Require), newGatewayPort(t, "other", ports.Require)
		serve(t, newGuard(t, func(c *middleware.Config) { c.Map = must[*certmap.Table](t)(certmap.New(m...)) },
			withReceiver("one", r, middleware.ToDefault), withReceiver("two", r, middleware.ToDefault),
			withReceiver("other", newReceiver(t, func(c *forwarded.Config) { c.Users = trusting(t, nil, nil, elsewhere) }), middleware.ToDefault),
		).Handler(echo), one, two, other)
		gateway := gatewayPKI().gateway
		first, second, third := dial(t, one, gateway, h2), dial(t, two, gateway, h2), dial(t, other, gateway, h2)
		for range 2 {
			first.get("/x", forwards(shared().alice)).wantUser(t, "alice-one")
			second.get("/x", forwards(shared().alice)).wantUser(t, "alice-two")
			third.get("/x", forwards(shared().alice)).want(t, 403, reason.UnknownAuthority)
		}
	})
}

// One leaf can lead to two anchors, depending on the forwarded chain, and map to a different
// user under each: the cached user of the other chain is not used.
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
	gate := newGatewayPort(t, "gate", ports.Require)
	r := newReceiver(t, func(c *forwarded.Config) { c.Users = trusting(t, nil, nil, rootA, rootB) })
	serve(t, newGuard(t, withReceiver("gate", r, middleware.Strict), func(c *middleware.Config) { c.Map = must[*certmap.Table](t)(certmap.New(m...)) }).Handler(echo), gate)
	c := dial(t, gate, gatewayPKI().gateway, true)
	by := func(chain ...*testpki.Pair) seen {
		var issuers []string
		for _, p := range chain {
			issuers = append(issuers, sequence(p.Cert))
		}
		return c.get("/x", forwards(leaf), header("Client-Cert-Chain", strings.Join(issuers, ", ")))
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

// Reconfigure turns a port into a gateway port and back while connections are open: a caller
// cached for one kind of port is not used for the other.
// Covers G6.
func TestPortBecomesAGatewaysAndBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		gate := newGatewayPort(t, "gate", ports.Request)
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
			alice, gateway, anonymous := dial(t, gate, shared().alice, h2), dial(t, gate, gatewayPKI().gateway, h2), dial(t, gate, nil, h2)
			alice.get("/x", forwards(shared().bob)).wantUser(t, "alice")
			gateway.get("/x", forwards(shared().bob)).want(t, 403, reason.Unmapped)
			anonymous.get("/x", forwards(shared().bob)).wantUser(t, "Default")
			next(withReceiver("gate", newReceiver(t), middleware.Strict))
			gateway.get("/x", forwards(shared().bob)).wantUser(t, "bob")
			gateway.get("/x").want(t, 403, reason.NoCertificate)
			alice.get("/x", reused(t), forwards(shared().bob)).want(t, 403, reason.UntrustedGateway)
			anonymous.get("/x", reused(t), forwards(shared().bob)).want(t, 403, reason.NoCertificate)
			next()
			gateway.get("/x", reused(t), forwards(shared().bob)).want(t, 403, reason.Unmapped)
			anonymous.get("/x", reused(t), forwards(shared().bob)).wantUser(t, "Default")
		}
	})
}
