package middleware_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// quotaClock is a clock that only the test moves.
type quotaClock struct{ offset atomic.Int64 }

var quotaStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *quotaClock) now() time.Time          { return quotaStart.Add(time.Duration(c.offset.Load())) }
func (c *quotaClock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// withQuotas adds quotas and a clock to a Config.
func withQuotas(c *quotaClock, quotas ...middleware.Quota) func(*middleware.Config) {
	return func(to *middleware.Config) { to.Now, to.Quotas = c.now, quotas }
}

func TestAUserBeyondTheQuotaIsRefused(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		clock, outcomes := &quotaClock{}, &recorder{}
		port := newPort(t, "p", ports.Request)
		serve(t, newGuard(t, withQuotas(clock, middleware.Quota{Name: "few", Requests: 10, Interval: time.Minute, Burst: 2}),
			func(c *middleware.Config) { c.Observe = outcomes.observe }).Handler(echo), port)
		alice, bob := dial(t, port, shared().alice, h2), dial(t, port, shared().bob, h2)
		alice.get("/a").wantUser(t, "alice")
		dial(t, port, shared().alice, h2).get("/b").wantUser(t, "alice") // another connection of the same user
		outcomes.take()
		refused := alice.get("/c")
		refused.want(t, 429, reason.Quota)
		for name, want := range map[string]string{"Retry-After": "6", "RateLimit-Policy": `"few";q=2;w=12`, "RateLimit": `"few";r=0;t=6`} {
			if got := refused.Answer.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if strings.Contains(refused.Body, "few") || strings.Contains(refused.Body, "alice") {
			t.Errorf("the document names more than the reason: %s", refused.Body)
		}
		all := outcomes.take()
		if len(all) != 1 || !strings.Contains(all[0].Detail, `user alice has used up the quota "few", 10 requests each minute and at most 2 at once, per user`) || all[0].Reference != refused.Reference {
			t.Errorf("observed %+v, want the used-up quota with the reference of the answer", all)
		}
		bob.get("/a").wantUser(t, "bob")
		clock.advance(6 * time.Second)
		alice.get("/c").wantUser(t, "alice")
		alice.get("/c").want(t, 429, reason.Quota)
		clock.advance(-24 * time.Hour)
		alice.get("/c").want(t, 429, reason.Quota)
		clock.advance(6 * time.Second)
		alice.get("/c").wantUser(t, "alice")
	})
}

func TestAQuotaCountsWhatItsGroupPathAndPortSelect(t *testing.T) {
	t.Parallel()
	clock := &quotaClock{}
	hour := func(name string, change func(*middleware.Quota)) middleware.Quota {
		q := middleware.Quota{Name: name, Requests: 1, Interval: time.Hour}
		change(&q)
		return q
	}
	for _, row := range []struct {
		name  string
		quota middleware.Quota
		want  string // the answers to the requests below
	}{
		{"all", hour("q", func(*middleware.Quota) {}), "alice 200 429 429 bob 200 429 429 anonymous 200 429 429 other 429 429"},
		{"group", hour("q", func(q *middleware.Quota) { q.Group = "staff" }), "alice 200 429 429 bob 200 200 200 anonymous 200 200 200 other 429 200"},
		{"anonymous", hour("q", func(q *middleware.Quota) { q.Group = "Anonymous" }), "alice 200 200 200 bob 200 200 200 anonymous 200 429 429 other 200 429"},
		{"path", hour("q", func(q *middleware.Quota) { q.Path = "/a/{id}" }), "alice 200 429 200 bob 200 429 200 anonymous 200 429 200 other 429 429"},
		{"own path", hour("q", func(q *middleware.Quota) { q.Path = "/{user}/*" }), "alice 200 200 200 bob 200 200 200 anonymous 200 200 200 other 200 200"},
		{"port", hour("q", func(q *middleware.Quota) { q.Per = middleware.PerPort }), "alice 200 429 429 bob 429 429 429 anonymous 429 429 429 other 200 429"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			first, second := newPort(t, "first", ports.Request), newPort(t, "second", ports.Request)
			serve(t, newGuard(t, withQuotas(clock, row.quota), func(c *middleware.Config) {
				c.Fallback = middleware.ToDefault
				c.Policy = newPolicy(t, "p, group:Everybody, *, *, /*, allow", "g, user:alice, group:staff")
			}).Handler(echo), first, second)
			var got []string
			ask := func(c *client, paths ...string) {
				for _, p := range paths {
					got = append(got, http.StatusText(c.get(p).Code))
				}
			}
			paths := []string{"/a/1", "/a/2", "/b"}
			for _, name := range []string{"alice", "bob", "anonymous"} {
				got = append(got, name)
				ask(dial(t, first, shared().pairs[strings.TrimPrefix(name, "anonymous")], false), paths...)
			}
			got = append(got, "other")
			ask(dial(t, second, shared().alice, false), "/a/3")
			ask(dial(t, second, nil, false), "/a/3")
			answers := strings.NewReplacer("OK", "200", "Too Many Requests", "429").Replace(strings.Join(got, " "))
			if answers != row.want {
				t.Errorf("answered\n%s, want\n%s", answers, row.want)
			}
		})
	}
}

// A request that one quota or the policy refuses counts for no quota.
func TestARefusedRequestUsesNothingUp(t *testing.T) {
	t.Parallel()
	clock := &quotaClock{}
	port := newPort(t, "p", ports.Request)
	serve(t, newGuard(t, withQuotas(clock,
		middleware.Quota{Name: "all", Per: middleware.PerPort, Requests: 3, Interval: time.Hour},
		middleware.Quota{Name: "each", Requests: 1, Interval: time.Hour},
	), func(c *middleware.Config) { c.Policy = newPolicy(t, "p, group:Everybody, *, *, /open, allow") }).Handler(echo), port)
	alice, bob := dial(t, port, shared().alice, false), dial(t, port, shared().bob, false)
	for range 5 {
		alice.get("/closed").want(t, 403, reason.NoRule)
	}
	alice.get("/open").wantUser(t, "alice")
	for range 5 {
		alice.get("/open").want(t, 429, reason.Quota)
	}
	bob.get("/open").wantUser(t, "bob")
}

func TestReconfigureKeepsTheCountsOfAQuota(t *testing.T) {
	t.Parallel()
	few := middleware.Quota{Name: "few", Requests: 2, Interval: time.Hour}
	other := middleware.Quota{Name: "other", Requests: 1000, Interval: time.Second}
	for _, row := range []struct {
		name   string
		quotas []middleware.Quota
		code   int
	}{
		{"same", []middleware.Quota{few}, 429},
		{"another beside it", []middleware.Quota{other, few}, 429},
		{"path", []middleware.Quota{{Name: "few", Path: "/*", Requests: 2, Interval: time.Hour}}, 429},
		{"smaller burst", []middleware.Quota{{Name: "few", Requests: 2, Interval: time.Hour, Burst: 1}}, 429},
		{"rate", []middleware.Quota{{Name: "few", Requests: 3, Interval: time.Hour}}, 200},
		{"name", []middleware.Quota{{Name: "a-few", Requests: 2, Interval: time.Hour}}, 200},
		{"none", nil, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			clock := &quotaClock{}
			port := newPort(t, "p", ports.Request)
			g := newGuard(t, withQuotas(clock, few))
			serve(t, g.Handler(echo), port)
			alice := dial(t, port, shared().alice, false)
			alice.get("/").wantUser(t, "alice")
			alice.get("/").wantUser(t, "alice")
			if err := g.Reconfigure(config(t, withQuotas(clock, row.quotas...))); err != nil {
				t.Fatal(err)
			}
			if got := alice.get("/"); got.Code != row.code {
				t.Errorf("answered %d, want %d", got.Code, row.code)
			}
		})
	}
}

// A wrong configuration changes neither quotas nor counts.
func TestAWrongQuotaIsAnError(t *testing.T) {
	t.Parallel()
	right := middleware.Quota{Name: "q", Requests: 1, Interval: time.Second}
	for _, row := range []struct {
		change func(*middleware.Quota)
		want   string
	}{
		{func(q *middleware.Quota) { q.Name = "" }, `Config.Quotas[0].Name: "" is not the name of a quota`},
		{func(q *middleware.Quota) { q.Name = "a\"b" }, `Config.Quotas[0].Name: "a\"b" is not the name of a quota`},
		{func(q *middleware.Quota) { q.Group = "a b" }, `Config.Quotas[0].Group: "a b" is not the name of a group`},
		{func(q *middleware.Quota) { q.Path = "reports" }, `Config.Quotas[0].Path: the path "reports" does not begin with /`},
		{func(q *middleware.Quota) { q.Per = 2 }, "Config.Quotas[0].Per is neither PerUser nor PerPort"},
		{func(q *middleware.Quota) { q.Requests = 0 }, "Config.Quotas[0].Requests is 0"},
		{func(q *middleware.Quota) { q.Requests = 1_000_001 }, "Config.Quotas[0].Requests: 1000001 each 1s is more than a million a second"},
		{func(q *middleware.Quota) { q.Interval = 0 }, "Config.Quotas[0].Interval is 0s"},
		{func(q *middleware.Quota) { q.Burst = -1 }, "Config.Quotas[0].Burst is -1"},
		{func(q *middleware.Quota) { q.Burst = 1 << 30 }, "Config.Quotas[0].Burst: 1073741824 requests take longer than a year"},
	} {
		q := right
		row.change(&q)
		_, err := middleware.New(config(t, func(c *middleware.Config) { c.Quotas = []middleware.Quota{q} }))
		if all := configerror.All(err); len(all) != 1 || !strings.HasPrefix(all[0].What, row.want) {
			t.Errorf("%+v: %v, want %s", q, err, row.want)
		}
	}
	_, err := middleware.New(config(t, func(c *middleware.Config) {
		right := right
		right.Group, c.Policy = "staff", struct{ policy.Decider }{c.Policy} // hides the method Groups
		c.Quotas = []middleware.Quota{right}
	}))
	if err == nil || !strings.Contains(err.Error(), `quota "q" is for group staff, and the policy does not have the groups of a user`) {
		t.Errorf("a group without groups: %v", err)
	}
	_, err = middleware.New(config(t, func(c *middleware.Config) { c.Quotas = []middleware.Quota{right, right} }))
	if err == nil || !strings.Contains(err.Error(), `Config.Quotas[1].Name: "q" is already used`) {
		t.Errorf("a name twice: %v", err)
	}
}

// Check decides about streams again and again, and about requests that are only simulated.
func TestCheckCountsNothing(t *testing.T) {
	t.Parallel()
	clock := &quotaClock{}
	port := newPort(t, "p", ports.Request)
	g := newGuard(t, withQuotas(clock, middleware.Quota{Name: "one", Requests: 1, Interval: time.Hour}))
	r := capture(t, port, shared().alice)
	for range 3 {
		if o := g.Check(r); !o.Allowed {
			t.Fatal(o.Reason, o.Detail)
		}
	}
	h := g.Handler(nothing)
	for _, want := range []int{0, 429} {
		w := &discard{}
		h.ServeHTTP(w, r)
		if w.status != want {
			t.Errorf("status %d, want %d", w.status, want)
		}
	}
	if o := g.Check(r); !o.Allowed || len(g.Quotas(o)) != 1 {
		t.Errorf("%s; quotas %v", o.Reason, g.Quotas(o))
	}
}

// Identify and Authorize count once, in Authorize.
func TestAuthorizeCounts(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	g := newGuard(t, withQuotas(&quotaClock{}, middleware.Quota{Name: "one", Requests: 1, Interval: time.Hour}))
	serve(t, g.Identify(g.Authorize(echo)), port)
	alice := dial(t, port, shared().alice, true)
	alice.get("/").wantUser(t, "alice")
	alice.get("/").want(t, 429, reason.Quota)
}

// Many connections of both protocols let exactly the burst through.
func TestAQuotaIsExactAcrossConnections(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	serve(t, newGuard(t, withQuotas(&quotaClock{}, middleware.Quota{Name: "q", Requests: 25, Interval: time.Hour})).Handler(echo), port)
	var let atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		c := dial(t, port, shared().alice, i%2 == 0)
		wg.Go(func() {
			for range 10 {
				if got, err := c.do("GET", "/"); err == nil && got.Code == 200 {
					let.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if let.Load() != 25 {
		t.Errorf("%d requests let through, want 25", let.Load())
	}
}

func TestAQuotaAllocatesNothing(t *testing.T) {
	port := newPort(t, "p", ports.Request)
	r := capture(t, port, shared().alice)
	h := newGuard(t, func(c *middleware.Config) {
		c.Quotas = []middleware.Quota{{Name: "q", Requests: 1_000_000, Interval: time.Second}, {Name: "r", Path: "/orders/*", Requests: 1_000_000, Interval: time.Second}}
	}).Handler(nothing)
	w := &discard{}
	h.ServeHTTP(w, r)
	if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n > 2 {
		t.Errorf("%v allocations for a request that two quotas count, want 2", n)
	}
}

// Behind a gateway and on another port the user counts, and not the gateway's connection.
func TestAQuotaCountsForwardedUsers(t *testing.T) {
	t.Parallel()
	gate, other := newGatewayPort(t, "gate", ports.Require), newPort(t, "other", ports.Request)
	serve(t, newGuard(t, withReceiver("gate", newReceiver(t), middleware.Strict),
		withQuotas(&quotaClock{}, middleware.Quota{Name: "q", Requests: 2, Interval: time.Hour})).Handler(echo), gate, other)
	for _, h2 := range []bool{true, false} {
		gateway := dial(t, gate, gatewayPKI().gateway, h2)
		for _, got := range []seen{gateway.get("/", forwards(shared().alice)), dial(t, other, shared().alice, h2).get("/")} {
			if h2 {
				got.wantUser(t, "alice")
			} else {
				got.want(t, 429, reason.Quota)
			}
		}
		gateway.get("/", forwards(shared().bob)).wantUser(t, "bob")
	}
}
