package policy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

const office = `# the office
p, group:finance, internal, GET|POST, /orders/*, allow
p, user:mallory, *, *, /*, deny
p, group:Everybody, public, GET, /news, allow
p, group:Anonymous, public, GET, /welcome, allow
p, group:Authenticated, public, GET, /home, allow
p, user:Default, public, POST, /register, allow
p, group:visitors, public, GET, /lobby, allow
p, group:people, public, GET, /people, allow
p, group:boss, internal, *, /*, allow
p, group:finance, internal, DELETE, /orders/locked/*, deny

g, user:alice, group:finance
g, user:mallory, group:finance
g, user:carol, group:boss
g, user:carol, group:finance
g, group:Anonymous, group:visitors
g, group:Authenticated, group:people
`

// Covers D8.
func TestDecisionsByUserGroupPortMethodAndPath(t *testing.T) {
	t.Parallel()
	e := mustLoad(t, office)
	for _, c := range []struct {
		user, port, method, path string
		why                      reason.Reason
		rule                     string
	}{
		{"alice", "internal", "GET", "/orders/7", "", "policy.csv:2"},
		{"alice", "internal", "HEAD", "/orders/7", "", "policy.csv:2"},
		{"alice", "internal", "POST", "/orders/", "", "policy.csv:2"},
		{"alice", "internal", "PUT", "/orders/7", reason.NoRule, ""},
		{"alice", "public", "GET", "/orders/7", reason.NoRule, ""},
		{"alice", "", "GET", "/orders/7", reason.NoRule, ""},
		{"bob", "internal", "GET", "/orders/7", reason.NoRule, ""},
		{"mallory", "internal", "GET", "/orders/7", reason.Denied, "policy.csv:3"},
		{"mallory", "public", "GET", "/news", reason.Denied, "policy.csv:3"},
		{"mallory", "nowhere", "GET", "/none", reason.Denied, "policy.csv:3"},
		{"carol", "internal", "DELETE", "/orders/7", "", "policy.csv:10"},
		{"carol", "internal", "DELETE", "/orders/locked/7", reason.Denied, "policy.csv:11"},
		{"carol", "internal", "GET", "/orders/7", "", "policy.csv:2"}, // the first that allows
		{"bob", "public", "GET", "/news", "", "policy.csv:4"},
		{"bob", "public", "GET", "/home", "", "policy.csv:6"},
		{"bob", "public", "GET", "/people", "", "policy.csv:9"},
		{"bob", "public", "GET", "/welcome", reason.NoRule, ""},
		{"bob", "public", "GET", "/lobby", reason.NoRule, ""},
		{"bob", "public", "POST", "/register", reason.NoRule, ""},
		{"Default", "public", "GET", "/news", "", "policy.csv:4"},
		{"Default", "public", "GET", "/welcome", "", "policy.csv:5"},
		{"Default", "public", "GET", "/lobby", "", "policy.csv:8"},
		{"Default", "public", "POST", "/register", "", "policy.csv:7"},
		{"Default", "public", "GET", "/home", reason.NoRule, ""},
		{"Default", "public", "GET", "/people", reason.NoRule, ""},
		{"default", "public", "GET", "/welcome", reason.NoRule, ""},
	} {
		got := decide(t, e, c.user, c.port, c.method, c.path)
		if got.Allowed != (c.why == "") || got.Reason != c.why || got.Rule.String() != c.rule {
			t.Errorf("%s on %q, %s %s: %+v, want %q by %q", c.user, c.port, c.method, c.path, got, c.why, c.rule)
		}
	}
}

// Covers D8.
func TestDenyBeatsAllowInAnyOrder(t *testing.T) {
	t.Parallel()
	lines := []string{"p, group:Everybody, *, *, /*, allow", "p, user:u, *, GET, /a, deny", "p, user:u, *, *, /*, allow"}
	for i := range lines {
		e := mustLoad(t, strings.Join(append(lines[i:len(lines):len(lines)], lines[:i]...), "\n"))
		if d := decide(t, e, "u", "p", "HEAD", "/a"); d.Reason != reason.Denied {
			t.Errorf("from line %d: %+v", i+1, d)
		}
		if d := decide(t, e, "u", "p", "POST", "/a"); !d.Allowed {
			t.Errorf("from line %d: %+v", i+1, d)
		}
	}
}

// Covers D7, D8.
func TestEmptyPolicyDeniesEverything(t *testing.T) {
	t.Parallel()
	empty := mustLoad(t, "")
	comments := mustLoad(t, "# nothing\r\n\n  \t# here\n")
	onlyDeny := mustLoad(t, "p, user:x, *, *, /*, deny")
	for name, e := range map[string]*policy.Engine{"no rules": mustNew(t, nil, nil), "empty": empty, "comments": comments, "deny only": onlyDeny} {
		for _, user := range []string{"alice", identity.Default} {
			if d := decide(t, e, user, "p", "GET", "/"); d != (policy.Decision{Reason: reason.NoRule}) {
				t.Errorf("%s: %+v, want %+v", name, d, (policy.Decision{Reason: reason.NoRule}))
			}
		}
		enforcer, err := e.Enforcer()
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := enforcer.Enforce("user:alice", "p", "GET", "/"); ok || err != nil {
			t.Errorf("%s: Casbin: %v, %v", name, ok, err)
		}
	}
}

// Covers D13.
func TestNilAndZeroEnginesRefuseEverything(t *testing.T) {
	t.Parallel()
	var none *policy.Engine
	for _, e := range []*policy.Engine{none, {}} {
		d, err := e.Decide(context.Background(), policy.Request{User: "alice", Port: "p", Method: "GET", Path: "/"})
		if d != (policy.Decision{Reason: reason.PolicyError}) || !isError(err, "there is no policy") {
			t.Errorf("got %+v, %v", d, err)
		}
		rules, members := e.Rules()
		if e.Groups("alice") != nil || rules != nil || members != nil || e.Lint() != nil {
			t.Error("an engine without a policy has content")
		}
		if _, err := e.Enforcer(); err == nil {
			t.Error("there is an enforcer")
		}
		if s := e.Explain(policy.Request{User: "alice"}).Sentence; !strings.Contains(s, "no policy") {
			t.Error(s)
		}
	}
}

// Covers D9.
func TestUserIsNeverTakenForAGroup(t *testing.T) {
	t.Parallel()
	e := mustLoad(t, `p, group:admin, *, *, /*, allow
p, group:Everybody, *, GET, /news, allow
g, user:root, group:admin
`)
	if allowed(t, e, "admin", "/x") {
		t.Error("the user admin has the permissions of the group admin")
	}
	if !allowed(t, e, "admin", "/news") || !allowed(t, e, "root", "/x") {
		t.Error("users have lost their permissions")
	}
	for _, user := range []string{
		"", "group:admin", "user:root", "user:", "group:Everybody", ":", "root ", " root", "root\n", "ro,ot", "root\x00", "rööt", "-root", ".",
		"*", "{user}", "Everybody", "Authenticated", "Anonymous", strings.Repeat("a", 129),
	} {
		d, err := e.Decide(context.Background(), policy.Request{User: user, Port: "p", Method: "GET", Path: "/news"})
		if d != (policy.Decision{Reason: reason.PolicyError}) || !isError(err, "names no user") {
			t.Errorf("user %q: %+v, %v", user, d, err)
		}
		enforcer, _ := e.Enforcer()
		if ok, _ := enforcer.Enforce("user:"+user, "p", "GET", "/news"); ok {
			t.Errorf("Casbin allows user %q", user)
		}
		if ok, _ := enforcer.Enforce(user, "p", "GET", "/x"); ok && user != "user:root" {
			t.Errorf("Casbin allows subject %q", user)
		}
	}
}

// Covers D1, D11.
func TestMethodsAreExactAndKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, allowed string }{
		{"*", "GET HEAD POST PUT PATCH DELETE OPTIONS PROPFIND"},
		{"GET", "GET HEAD"},
		{"HEAD", "HEAD"},
		{"POST|GET", "GET HEAD POST"},
		{"PUT|PUT", "PUT"},
		{"PROPFIND|OPTIONS", "PROPFIND OPTIONS"},
	} {
		rule := policy.Rule{Subject: "user:u", Port: "*", Method: c.rule, Path: "/*", Effect: policy.Allow}
		e := mustNew(t, []policy.Rule{rule}, nil, policy.WithMethods("PROPFIND", "GET", "PROPFIND"))
		for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get", "Get", "GETX", "XGET", "CONNECT", "TRACE", "REPORT", "", "*", "GET|POST", "GET "} {
			want := false
			for a := range strings.SplitSeq(c.allowed, " ") {
				want = want || a == m
			}
			if got := decide(t, e, "u", "p", m, "/").Allowed; got != want {
				t.Errorf("rule %s, method %q: %v, want %v", c.rule, m, got, want)
			}
		}
	}
	for _, c := range []struct{ rule, parts string }{
		{"", "empty"},
		{"get", "write GET"},
		{"Post|GET", "write POST"},
		{"POST|", "empty alternative"},
		{"|POST", "empty alternative"},
		{"GET||POST", "empty alternative"},
		{"GET | POST", "no blanks"},
		{"*|GET", "write * alone"},
		{"(GET)|(POST)", "not known"},
		{"GET.*", "not known…known are GET HEAD"},
		{"PROPFIND", "not known"},
		{"CONNECT", "not known"},
	} {
		_, err := policy.New([]policy.Rule{{Subject: "user:u", Port: "*", Method: c.rule, Path: "/*", Effect: policy.Allow}}, nil)
		wantOneError(t, err, "", c.parts)
	}
	for _, m := range []string{"", "get", "GET|POST", "*", "A B", "1A", "-A", "_A", "É", "A" + strings.Repeat("B", 32)} {
		_, err := policy.New(nil, nil, policy.WithMethods(m))
		wantOneError(t, err, "", "WithMethods: …is not a method")
	}
	for _, m := range []string{"M-SEARCH", "X_1", "A" + strings.Repeat("B", 31)} {
		mustNew(t, nil, nil, policy.WithMethods(m))
	}
	many := make([]string, 26)
	for i := range many {
		many[i] = fmt.Sprintf("M%d", i)
	}
	if _, err := policy.New(nil, nil, policy.WithMethods(many...)); err == nil {
		t.Error("33 methods fit into 32 bits")
	}
	e := mustNew(t, []policy.Rule{{Subject: "user:u", Port: "*", Method: "M24", Path: "/*", Effect: policy.Allow}}, nil, policy.WithMethods(many[:25]...))
	if !decide(t, e, "u", "p", "M24", "/").Allowed || decide(t, e, "u", "p", "M23", "/").Allowed || decide(t, e, "u", "p", "M25", "/").Allowed {
		t.Error("the decision for the 32nd method is wrong")
	}
}

// Covers D16.
func TestDecideAllocatesNothing(t *testing.T) {
	e := mustLoad(t, office)
	big := mustNew(t, first(large(2000)), second(large(2000)))
	for _, r := range append(requests(2000)[:64],
		policy.Request{User: "alice", Port: "internal", Method: "GET", Path: "/orders/7"},
		policy.Request{User: "mallory", Port: "internal", Method: "GET", Path: "/orders/7"},
		policy.Request{User: "outsider", Port: "public", Method: "GET", Path: "/home"},
		policy.Request{User: "Default", Port: "public", Method: "GET", Path: "/welcome"},
		policy.Request{User: "group:finance", Port: "public", Method: "GET", Path: "/"},
		policy.Request{User: "alice", Port: "nowhere", Method: "BREW", Path: "*"},
		policy.Request{User: "alice", Port: "internal", Method: "GET", Path: strings.Repeat("/é", 500)},
	) {
		for _, e := range []*policy.Engine{e, big} {
			if n := testing.AllocsPerRun(20, func() { _, _ = e.Decide(context.Background(), r) }); n != 0 {
				t.Errorf("%+v: %v allocations", r, n)
			}
		}
	}
}

// Covers D15.
func TestDecideIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	e := mustLoad(t, office)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				if !allowed(t, e, "alice", "/orders/7") || allowed(t, e, "mallory", "/orders/7") || len(e.Groups("carol")) != 5 {
					t.Error("a wrong answer")
					return
				}
			}
		})
	}
	wg.Wait()
}

// A rule set that forks at every level. BenchmarkForking measures the cost of a request. This
// test checks that the decisions are right and take bounded time.
// Covers D16.
func TestForkingRulesAreBounded(t *testing.T) {
	t.Parallel()
	e := forking(t)
	deep := strings.Repeat("/a", 60)
	if !allowed(t, e, "u", deep) {
		t.Error("/a… of 60 segments is refused")
	}
	if allowed(t, e, "u", strings.Repeat("/a", 31)+"/b") {
		t.Error("/a…/b of 32 segments is allowed")
	}
	if !allowed(t, e, "u", strings.Repeat("/a", 31)+"/end") {
		t.Error("/a…/end of 32 segments is refused")
	}
	if allowed(t, e, "u", strings.Repeat("/a", 1_000_000)+"/./b") {
		t.Error("a dot segment a million segments deep is not found")
	}
}

// forking returns every combination of literal and {x} over ten levels, and rules of the
// maximum depth.
func forking(t testing.TB) *policy.Engine {
	t.Helper()
	var rules []policy.Rule
	add := func(subject, path string) {
		rules = append(rules, policy.Rule{Subject: subject, Port: "*", Method: "GET", Path: path, Effect: policy.Allow})
	}
	for bits := range 1 << 10 {
		path := ""
		for i := range 10 {
			path += []string{"/a", "/{x}"}[bits>>i&1]
		}
		add("user:other", path+strings.Repeat("/{y}", 21)+"/b")
	}
	add("user:u", strings.Repeat("/a", 31)+"/*")
	add("user:v", strings.Repeat("/{x}", 32))
	rules[len(rules)-2].Path = strings.Repeat("/a", 30) + "/a/end"
	add("user:u", strings.Repeat("/a", 20)+"/a/a/a/a/a/a/a/a/a/a/a/*")
	rules = append(rules, policy.Rule{Subject: "user:u", Port: "*", Method: "GET", Path: strings.Repeat("/a", 31) + "/b", Effect: policy.Deny})
	return mustNew(t, rules, nil)
}

func BenchmarkForking(b *testing.B) {
	e := forking(b)
	r := policy.Request{User: "u", Port: "p", Method: "GET", Path: strings.Repeat("/a", 60)}
	for b.Loop() {
		_, _ = e.Decide(context.Background(), r)
	}
}

// BenchmarkCrowded measures a decision at one path with a line for each of 100,000 users, for
// a user in 1,000 groups: both lists are long and are searched, not scanned.
func BenchmarkCrowded(b *testing.B) {
	var rules []policy.Rule
	for i := range 100_000 {
		rules = append(rules, policy.Rule{Subject: fmt.Sprintf("user:u%d", i), Port: "*", Method: "GET", Path: "/a", Effect: policy.Allow})
	}
	e := mustNew(b, rules, nil)
	r := policy.Request{User: "u77777", Port: "p", Method: "GET", Path: "/a"}
	for b.Loop() {
		if d, _ := e.Decide(context.Background(), r); !d.Allowed {
			b.Fatal(d)
		}
	}
}
