package policy_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

// world is a small vocabulary, so that random rules and requests meet often.
type world struct{ *rand.Rand }

func pick[T any](w world, from ...T) T { return from[w.IntN(len(from))] }

func (w world) user() string {
	return pick(w, "alice", "bob", "carol", "staff", "finance", "Default", "outsider")
}

func (w world) subject() string {
	if w.IntN(3) == 0 {
		u := w.user()
		if u == "outsider" {
			u = "alice"
		}
		return "user:" + u
	}
	return "group:" + pick(w, "finance", "staff", "alice", "ops", "g1", "g2", "g3", "Everybody", "Authenticated", "Anonymous")
}

func (w world) method() string {
	return pick(w, "*", "*", "*", "GET", "HEAD", "POST", "GET|POST", "PUT|PATCH|DELETE", "OPTIONS|HEAD", "PROPFIND", "PROPFIND|GET")
}

func (w world) rulePath() string {
	if w.IntN(20) == 0 {
		return "*"
	}
	path := ""
	for range pick(w, 0, 0, 1, 1, 2, 3) {
		path += "/" + pick(w, "a", "a", "b", "a.b", "{x}", "{x}", "{y}", "{id}", "{user}", "{user}", "alice", "%", "é")
	}
	return path + pick(w, "", "/", "/*", "/*", "/*", "/a")
}

func (w world) requestPath() string {
	path := ""
	for range pick(w, 1, 1, 2, 2, 3, 4) {
		path += "/" + pick(w, "a", "a", "a", "a", "b", "a.b", "aXb", "alice", "alice", "bob", "Bob", "Default", "outsider", "{user}", "{x}", "*", "%", "%2f", "é", "zzz", "a;v=1", "a,b")
	}
	path += pick(w, "", "", "/")
	if w.IntN(12) == 0 { // a path that a guard refuses
		path += pick(w, "//", "/.", "/..", "/../a", `\`, "/\x00", "/\xff", "/a\n", "/./a", "a")
	}
	return pick(w, path, path, path, path, path, path, path, "*", "/")
}

func (w world) policy() ([]policy.Rule, []policy.Member) {
	var rules []policy.Rule
	for range 1 + w.IntN(50) {
		r := policy.Rule{Subject: w.subject(), Port: pick(w, "*", "*", "internal", "internal", "public", "ops"), Method: w.method(), Path: w.rulePath(), Effect: policy.Allow}
		if w.IntN(4) == 0 {
			r.Effect = policy.Deny
		}
		if r.Path == "" {
			r.Path = "/"
		}
		rules = append(rules, r)
	}
	var members []policy.Member
	for range w.IntN(15) {
		members = append(members, policy.Member{Subject: "user:" + pick(w, "alice", "bob", "carol", "staff"), Group: "group:" + pick(w, "finance", "staff", "alice", "ops", "g1", "g2", "g3")})
	}
	nest := []string{"Everybody", "Authenticated", "Anonymous", "finance", "staff", "alice", "ops", "g1", "g2", "g3"}
	for range w.IntN(10) { // only towards the end of the list, so that there is no cycle
		from := w.IntN(len(nest) - 1)
		if to := from + 1 + w.IntN(len(nest)-from-1); to > 2 {
			members = append(members, policy.Member{Subject: "group:" + nest[from], Group: "group:" + nest[to]})
		}
	}
	return rules, members
}

func (w world) request() policy.Request {
	return policy.Request{
		User:   w.user(),
		Port:   pick(w, "internal", "internal", "public", "ops", pick(w, "elsewhere", "", "*")),
		Method: pick(w, "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", pick(w, "get", "TRACE", "")),
		Path:   w.requestPath(),
	}
}

// million selects the full comparison with Casbin, which takes minutes, nearly all of them in
// Casbin.
var million = flag.Bool("million", false, "compare 1,000,000 decisions with Casbin")

// The compiled engine decides as Casbin does with the same rules: the answer, the
// reason and the rule. Casbin does not use the trees that Decide walks.
// Covers D8, D9.
func TestDecisionsAreCasbins(t *testing.T) {
	t.Parallel()
	policies, requests := 40, 300
	switch {
	case *million:
		policies, requests = 1_430, 700
	case testing.Short():
		policies = 20
	}
	c := comparison{reasons: map[reason.Reason]int{}}
	for n := range policies {
		c.compare(t, n, requests)
	}
	t.Logf("%d decisions: %v, of which a deny beat an allow in %d", policies*requests, c.reasons, c.denyBeatsAllow)
	for _, r := range []reason.Reason{"", reason.NoRule, reason.Denied} {
		if c.reasons[r] < policies*requests/100 {
			t.Errorf("only %d decisions %q: the requests match too rarely to check anything", c.reasons[r], r)
		}
	}
	if c.denyBeatsAllow < policies*requests/200 {
		t.Errorf("a deny beat an allow only %d times", c.denyBeatsAllow)
	}
}

// comparison counts the compared decisions.
type comparison struct {
	reasons        map[reason.Reason]int
	denyBeatsAllow int
}

// compare makes the n-th random policy and compares the decisions of both on random requests.
func (c *comparison) compare(t *testing.T, n, requests int) {
	t.Helper()
	w := world{rand.New(rand.NewPCG(42, uint64(n)))}
	rules, members := w.policy()
	engine, err := policy.New(rules, members, policy.WithMethods("PROPFIND"))
	if err != nil {
		t.Fatalf("policy %d: %v", n, err)
	}
	enforcer, err := engine.Enforcer()
	if err != nil {
		t.Fatal(err)
	}
	for range requests {
		r := w.request()
		got, err := engine.Decide(context.Background(), r)
		if err != nil {
			t.Fatalf("policy %d, %+v: %v", n, r, err)
		}
		allowed, line, err := enforcer.EnforceEx("user:"+r.User, r.Port, r.Method, r.Path)
		if err != nil {
			t.Fatalf("policy %d, %+v: Casbin: %v", n, r, err)
		}
		want := policy.Decision{Allowed: allowed}
		switch {
		case len(line) > 0:
			want.Rule = policy.Position{Number: firstRule(t, rules, line)}
			if !allowed {
				want.Reason = reason.Denied
			}
		default:
			want.Reason = reason.NoRule
		}
		if got != want {
			t.Fatalf("policy %d, %+v:\n got %+v\nwant %+v\n%s", n, r, got, want, engine.Explain(r))
		}
		c.reasons[got.Reason]++
		explained, beaten := decisionOf(engine.Explain(r))
		if explained != got {
			t.Fatalf("policy %d, %+v: decided %+v, explained %+v\n%s", n, r, got, explained, engine.Explain(r))
		}
		if beaten {
			c.denyBeatsAllow++
		}
	}
}

// decisionOf returns the decision that follows from the lines of an explanation, and reports
// whether a deny beat an allow in it.
func decisionOf(x policy.Explanation) (d policy.Decision, beaten bool) {
	matching := map[string]policy.Position{}
	for _, l := range x.Lines {
		if _, ok := matching[l.Effect]; l.Matches && !ok {
			matching[l.Effect] = l.Position
		}
	}
	if rule, ok := matching[policy.Deny]; ok {
		return policy.Decision{Reason: reason.Denied, Rule: rule}, matching[policy.Allow] != policy.Position{}
	}
	if rule, ok := matching[policy.Allow]; ok {
		return policy.Decision{Allowed: true, Rule: rule}, false
	}
	return policy.Decision{Reason: reason.NoRule}, false
}

func firstRule(t *testing.T, rules []policy.Rule, line []string) int {
	t.Helper()
	for i, r := range rules {
		if r.Subject == line[0] && r.Port == line[1] && r.Method == line[2] && r.Path == line[3] && string(r.Effect) == line[4] {
			return i + 1
		}
	}
	t.Fatalf("Casbin returns a line that is not in the policy: %q", line)
	return 0
}

// Without the rules that Lint reports, every decision stays the same.
func TestLintReportsOnlyRulesWithoutEffect(t *testing.T) {
	t.Parallel()
	dropped := 0
	for n := range 60 {
		w := world{rand.New(rand.NewPCG(7, uint64(n)))}
		rules, members := w.policy()
		engine := mustNew(t, rules, members, policy.WithMethods("PROPFIND"))
		useless := map[string]bool{}
		for _, f := range engine.Lint() {
			if hasAny(f.What, "has no effect", "repeats", "never allows anything") {
				number, _, _ := strings.Cut(f.What, ":")
				useless[number] = true
			}
		}
		var kept []policy.Rule
		for i, r := range rules {
			if useless[fmt.Sprintf("rule %d", i+1)] {
				dropped++
				continue
			}
			kept = append(kept, r)
		}
		lean := mustNew(t, kept, members, policy.WithMethods("PROPFIND"))
		for range 500 {
			r := w.request()
			with, _ := engine.Decide(context.Background(), r)
			without, _ := lean.Decide(context.Background(), r)
			if with.Allowed != without.Allowed || with.Reason != without.Reason {
				t.Fatalf("policy %d, %+v: %+v, but %+v without the rules that Lint reports", n, r, with, without)
			}
		}
	}
	if dropped < 60 {
		t.Errorf("only %d rules dropped: the policies overlap too rarely to check anything", dropped)
	}
}
