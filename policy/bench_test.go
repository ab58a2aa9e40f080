package policy_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/policycache"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/policy"
)

// large returns n rules and as many memberships: users with their own lines,
// groups of ten, nested in departments, and one deny line in fifty.
func large(n int) ([]policy.Rule, []policy.Member) {
	rules := make([]policy.Rule, n)
	members := make([]policy.Member, n)
	for i := range n {
		r := policy.Rule{Subject: fmt.Sprintf("group:team%d", i/10), Port: "internal", Method: "GET|POST", Path: fmt.Sprintf("/tenants/%d/orders/{id}", i), Effect: policy.Allow}
		switch i % 5 {
		case 1:
			r.Subject, r.Path = fmt.Sprintf("user:user%d", i), "/tenants/{tenant}/invoices/*"
		case 2:
			r.Port, r.Path = "*", fmt.Sprintf("/reports/%d/*", i)
		case 3:
			r.Method, r.Path = "*", "/teams/{team}/*"
		}
		if i%50 == 9 {
			r.Subject, r.Path, r.Effect = fmt.Sprintf("user:user%d", i), "/teams/{team}/secret/*", policy.Deny
		}
		rules[i] = r
		members[i] = policy.Member{Subject: fmt.Sprintf("user:user%d", i), Group: fmt.Sprintf("group:team%d", i/10)}
		if i%10 == 0 && i > 0 {
			members[i] = policy.Member{Subject: fmt.Sprintf("group:team%d", i/10), Group: fmt.Sprintf("group:department%d", i/1000)}
		}
	}
	return rules, members
}

func requests(n int) []policy.Request {
	w := rand.New(rand.NewPCG(1, 2))
	out := make([]policy.Request, 1024)
	for k := range out {
		i := w.IntN(n)
		r := policy.Request{User: fmt.Sprintf("user%d", i), Port: "internal", Method: "GET"}
		switch k % 4 {
		case 0:
			r.Path = fmt.Sprintf("/tenants/%d/orders/17", i-i%5)
		case 1:
			r.Path = "/tenants/acme/invoices/2026/1"
		case 2:
			r.Path = fmt.Sprintf("/reports/%d/x", i-i%5+2)
		case 3:
			r.Path, r.Method = "/teams/blue/secret/x", "DELETE"
		}
		out[k] = r
	}
	return out
}

var sizes = []int{10, 1_000, 10_000, 100_000}

// BenchmarkDecide measures a decision with warm caches. "known" is as the guard asks: the
// caller is looked up already.
func BenchmarkDecide(b *testing.B) {
	for _, n := range sizes {
		e := mustNew(b, first(large(n)), second(large(n)))
		rs := requests(n)
		for _, kind := range []struct {
			name string
			r    policy.Request
		}{
			{"allowed", rs[3]},
			{"no-rule", policy.Request{User: "user1", Port: "internal", Method: "GET", Path: "/nowhere/at/all"}},
			{"no-group", policy.Request{User: "no-group", Port: "internal", Method: "GET", Path: "/tenants/acme/invoices/2026"}},
		} {
			b.Run(fmt.Sprintf("%s/rules=%d", kind.name, n), func(b *testing.B) {
				testkit.Fastest(b, func(int) { _, _ = e.Decide(context.Background(), kind.r) })
			})
		}
		b.Run(fmt.Sprintf("known/rules=%d", n), func(b *testing.B) {
			r := rs[3]
			r.Caller = &policycache.Entry{}
			testkit.Fastest(b, func(int) { _, _ = e.Decide(context.Background(), r) })
		})
		b.Run(fmt.Sprintf("mixed/rules=%d", n), func(b *testing.B) {
			testkit.Fastest(b, func(i int) { _, _ = e.Decide(context.Background(), rs[i&1023]) })
		})
	}
}

// BenchmarkCasbin measures Casbin's own enforcer with the same rules.
func BenchmarkCasbin(b *testing.B) {
	for _, n := range sizes[:2] {
		enforcer, err := mustNew(b, first(large(n)), second(large(n))).Enforcer()
		if err != nil {
			b.Fatal(err)
		}
		rs := requests(n)
		b.Run(fmt.Sprintf("mixed/rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := rs[i&1023]
				_, _ = enforcer.Enforce("user:"+r.User, r.Port, r.Method, r.Path)
			}
		})
	}
}

// BenchmarkLoad measures loading n rules and as many memberships from text.
func BenchmarkLoad(b *testing.B) {
	for _, n := range sizes[1:] {
		text := write(large(n))
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := policy.Load("policy.csv", strings.NewReader(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLint(b *testing.B) {
	e := mustNew(b, first(large(100_000)), second(large(100_000)))
	for b.Loop() {
		e.Lint()
	}
}

func write(rules []policy.Rule, members []policy.Member) string {
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&b, "p, %s, %s, %s, %s, %s\n", r.Subject, r.Port, r.Method, r.Path, r.Effect)
	}
	for _, m := range members {
		fmt.Fprintf(&b, "g, %s, %s\n", m.Subject, m.Group)
	}
	return b.String()
}

func first(r []policy.Rule, _ []policy.Member) []policy.Rule    { return r }
func second(_ []policy.Rule, m []policy.Member) []policy.Member { return m }
