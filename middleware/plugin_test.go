package middleware_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/shadow"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// banList embeds a mapper, and refuses its users while banned is set.
type banList struct {
	certmap.Source
	banned atomic.Bool
	calls  atomic.Int64
}

func (b *banList) Map(ctx context.Context, v trust.Verified, port string) (certmap.Match, error) {
	b.calls.Add(1)
	if b.banned.Load() {
		return certmap.Match{}, reason.Refuse(reason.Unmapped, "banned")
	}
	return b.Source.Map(ctx, v, port)
}

// versioned is a ban list that implements certmap.Source: its results are cached for a
// generation.
type versioned struct {
	banList
	generation atomic.Uint64
}

func (v *versioned) Generation() uint64 { return v.generation.Load() }

func (v *versioned) Map(ctx context.Context, c trust.Verified, port string) (certmap.Match, error) {
	generation := v.Generation()
	m, err := v.banList.Map(ctx, c, port)
	m.Source, m.Generation = v, generation
	return m, err
}

// valued is a wrapper by value, of a type that cannot be compared.
type valued struct {
	*banList
	_ []string
}

// Covers M1.
func TestWrappedMapperIsCalledForEveryRequest(t *testing.T) {
	t.Parallel()
	table := must[*certmap.Table](t)(certmap.New(mappings()...))
	for name, source := range map[string]certmap.Source{"Live": certmap.NewLive(table), "Table": table} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, h2 bool) {
				for kind, wrap := range map[string]func(*banList) certmap.Mapper{
					"pointer": func(b *banList) certmap.Mapper { return b },
					"value":   func(b *banList) certmap.Mapper { return valued{banList: b} },
				} {
					ban := &banList{Source: source}
					port := newPort(t, "p", ports.Require)
					guard := newGuard(t, func(c *middleware.Config) { c.Map = wrap(ban) })
					serve(t, guard.Handler(echo), port)
					c := dial(t, port, shared().alice, h2)
					c.get("/x").wantUser(t, "alice")
					c.get("/x", reused(t)).wantUser(t, "alice")
					ban.banned.Store(true)
					c.get("/x", reused(t)).want(t, 403, reason.Unmapped)
					ban.banned.Store(false)
					c.get("/x", reused(t)).wantUser(t, "alice")
					if n := ban.calls.Load(); n != 4 {
						t.Errorf("%s: %d calls for 4 requests", kind, n)
					}
				}
			})
		})
	}
}

// Covers M1.
func TestSourceIsCalledOnceAGeneration(t *testing.T) {
	t.Parallel()
	m := &versioned{banList: banList{Source: certmap.NewLive(must[*certmap.Table](t)(certmap.New(mappings()...)))}}
	port := newPort(t, "p", ports.Require)
	guard := newGuard(t, func(c *middleware.Config) { c.Map = m })
	serve(t, guard.Handler(echo), port)
	c := dial(t, port, shared().alice, false)
	for range 5 {
		c.get("/x").wantUser(t, "alice")
	}
	if n := m.calls.Load(); n != 1 {
		t.Errorf("%d calls for one generation", n)
	}
	m.banned.Store(true)
	m.generation.Add(1)
	c.get("/x", reused(t)).want(t, 403, reason.Unmapped)
}

// hours embeds an engine, and denies everything outside business hours.
type hours struct {
	*policy.Engine
	closed atomic.Bool
}

func (h *hours) Decide(ctx context.Context, r policy.Request) (policy.Decision, error) {
	if h.closed.Load() {
		return policy.Decision{Reason: reason.Denied}, nil
	}
	return h.Engine.Decide(ctx, r)
}

// Covers M1.
func TestWrappedPolicyIsCalledForEveryRequest(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		p := &hours{Engine: newPolicy(t)}
		port := newPort(t, "p", ports.Require)
		guard := newGuard(t, func(c *middleware.Config) { c.Policy = p })
		serve(t, guard.Handler(echo), port)
		c := dial(t, port, shared().alice, h2)
		c.get("/x").wantUser(t, "alice")
		c.get("/x", reused(t)).wantUser(t, "alice")
		p.closed.Store(true)
		c.get("/x", reused(t)).want(t, 403, reason.Denied)
	})
}

// Covers M2.
func TestShadowSeesEveryDecisionOfAConnection(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		shadowed := must[*shadow.Policy](t)(shadow.New(newPolicy(t), 1, func(d shadow.Difference) { t.Errorf("Casbin decides differently: %+v", d) }))
		port := newPort(t, "p", ports.Require)
		guard := newGuard(t, func(c *middleware.Config) { c.Policy = shadowed })
		serve(t, guard.Handler(echo), port)
		c := dial(t, port, shared().alice, h2)
		const requests = 10
		for range requests {
			c.get("/x", func(*http.Request) {}).wantUser(t, "alice")
		}
		seen := func() uint64 { checked, _, dropped := shadowed.Counts(); return checked + dropped }
		testkit.Eventually(t, "every decision is compared", func() bool { return seen() >= requests })
		if n := seen(); n != requests {
			t.Errorf("%d of %d decisions were compared", n, requests)
		}
	})
}
