package policy_test

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/casbin/casbin/v2"

	"github.com/mtlsguard/mtlsguard/policy"
)

// whole makes the exhaustive comparison as large as is practical: about half an hour, nearly
// all of it Casbin's.
var whole = flag.Bool("whole", false, "compare every policy of the larger worlds with Casbin")

// smallWorld is a vocabulary that is small enough to try every policy of up to max lines, and
// every request.
type smallWorld struct {
	name                             string
	max                              int // lines of a policy
	subjects, ports, methods, routes []string
	members                          []string // g lines
	paths                            []string // of requests
}

// allRoutes returns every path of up to n segments, with and without /*.
func allRoutes(n int, segments ...string) []string {
	var out []string
	for level := []string{""}; n > 0; n-- {
		var next []string
		for _, path := range level {
			out = append(out, path+"/*")
			for _, s := range segments {
				next = append(next, path+"/"+s)
			}
		}
		out, level = append(out, next...), next
	}
	return out
}

// allPaths returns every path of up to n segments, the last of which may be empty.
func allPaths(n int, segments ...string) []string {
	out := []string{"/"}
	for _, path := range allRoutes(n, segments...) {
		if !strings.HasSuffix(path, "*") {
			out = append(out, path, path+"/")
		}
	}
	return out
}

var memberLines = []string{"user:alice group:a", "user:bob group:a", "user:alice group:b", "user:bob group:b", "group:a group:b", "group:b group:a"}

// The engine, Casbin, and a reference implementation of the documentation agree
// on every request to every policy of a small world.
// Covers D8, D9, D17.
func TestEveryPolicyOfASmallWorldDecidesAsDocumented(t *testing.T) {
	t.Parallel()
	worlds := []smallWorld{
		{"three lines", 3, []string{"user:alice", "group:a"}, []string{"*"}, []string{"*"},
			[]string{"/{user}", "/{x}", "/alice", "/{user}/*", "/{x}/{user}"}, memberLines[:2], []string{"/alice", "/bob", "/bob/alice", "/alice/alice", "/"}},
		{"nested groups", 3, []string{"group:a", "group:b", "group:Anonymous"}, []string{"*"}, []string{"*"}, []string{"/{user}", "/{x}"}, memberLines, []string{"/alice", "/bob", "/Default"}},
		{"ports and methods", 2, []string{"group:a"}, []string{"*", "p", "q"}, []string{"*", "GET", "POST"}, []string{"/{user}", "/{x}"}, memberLines[:1], []string{"/alice", "/bob"}},
		{"paths", 1, []string{"user:alice", "user:Default", "group:Everybody"}, []string{"*"}, []string{"*"}, allRoutes(3, "alice", "{user}", "{x}"), nil, append(allPaths(3, "alice", "bob"), "/Default", "/Default/alice")},
		{"two paths", 2, []string{"group:Everybody"}, []string{"*"}, []string{"*"}, allRoutes(2, "alice", "{user}", "{x}"), nil, allPaths(2, "alice", "bob")},
	}
	if *whole {
		everyone := []string{"user:alice", "user:bob", "group:a", "group:b"}
		worlds = append(worlds,
			smallWorld{"all of three lines", 3, everyone, []string{"*"}, []string{"*"}, []string{"/{user}", "/{x}", "/alice", "/{user}/*", "/{x}/{user}"}, memberLines, allPaths(2, "alice", "bob")},
			smallWorld{"all of two lines", 2, everyone, []string{"*", "p"}, []string{"*", "GET"}, allRoutes(3, "{user}", "{x}"), memberLines, allPaths(3, "alice", "bob")})
	}
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			w.compare(t)
		})
	}
}

// compare decides every request with every policy.
func (w *smallWorld) compare(t *testing.T) {
	rules, members := w.lines()
	enforcer, err := mustLoad(t, "").Enforcer()
	if err != nil {
		t.Fatal(err)
	}
	requests, policies, allowed := w.requests(), 0, 0
	var some []policy.Rule
	var with []policy.Member
	var try func(from int)
	try = func(from int) {
		e, err := policy.New(some, with)
		if isCycle := slices.Contains(with, member(memberLines[4])) && slices.Contains(with, member(memberLines[5])); err != nil {
			if !isCycle {
				t.Fatal(err)
			}
			return
		}
		fill(t, enforcer, some, with)
		policies++
		for _, r := range requests {
			want := reference(some, with, r)
			if got := decide(t, e, r.User, r.Port, r.Method, r.Path).Allowed; got != want {
				t.Fatalf("%+v\n%s: %t, want %t\n%s", r, write(some, with), got, want, e.Explain(r))
			}
			if got, err := enforcer.Enforce("user:"+r.User, r.Port, r.Method, r.Path); got != want || err != nil {
				t.Fatalf("%+v\n%s: Casbin: %t, %v, want %t", r, write(some, with), got, err, want)
			}
			if want {
				allowed++
			}
		}
		if len(some)+len(with) == w.max {
			return
		}
		for i := from; i < len(rules)+len(members); i++ {
			if i < len(rules) {
				some = append(some, rules[i])
				try(i + 1)
				some = some[:len(some)-1]
			} else {
				with = append(with, members[i-len(rules)])
				try(i + 1)
				with = with[:len(with)-1]
			}
		}
	}
	try(0)
	t.Logf("%d policies, %d requests, %d allowed", policies, policies*len(requests), allowed)
	if allowed == 0 || allowed == policies*len(requests) {
		t.Error("all decisions are the same")
	}
}

// lines returns every line of the world.
func (w *smallWorld) lines() (rules []policy.Rule, members []policy.Member) {
	for _, subject := range w.subjects {
		for _, port := range w.ports {
			for _, method := range w.methods {
				for _, path := range w.routes {
					rules = append(rules,
						policy.Rule{Subject: subject, Port: port, Method: method, Path: path, Effect: policy.Allow},
						policy.Rule{Subject: subject, Port: port, Method: method, Path: path, Effect: policy.Deny})
				}
			}
		}
	}
	for _, m := range w.members {
		members = append(members, member(m))
	}
	return rules, members
}

func member(line string) policy.Member {
	subject, group, _ := strings.Cut(line, " ")
	return policy.Member{Subject: subject, Group: group}
}

// requests returns every request of the world. Ports and methods that no rule distinguishes
// count once.
func (w *smallWorld) requests() (out []policy.Request) {
	ports, methods := []string{"p", "q"}, []string{"GET", "POST"}
	for _, user := range []string{"alice", "bob", "Default"} {
		for _, port := range ports[:min(2, len(w.ports))] {
			for _, method := range methods[:min(2, len(w.methods))] {
				for _, path := range w.paths {
					out = append(out, policy.Request{User: user, Port: port, Method: method, Path: path})
				}
			}
		}
	}
	return out
}

// fill replaces the lines of an enforcer.
func fill(t *testing.T, enforcer *casbin.Enforcer, rules []policy.Rule, members []policy.Member) {
	t.Helper()
	enforcer.ClearPolicy()
	var p, g [][]string
	for _, r := range rules {
		p = append(p, []string{r.Subject, r.Port, r.Method, r.Path, r.Effect})
	}
	for _, m := range members {
		g = append(g, []string{m.Subject, m.Group})
	}
	if _, err := enforcer.AddPolicies(p); err != nil {
		t.Fatal(err)
	}
	if _, err := enforcer.AddGroupingPolicies(g); err != nil {
		t.Fatal(err)
	}
	if err := enforcer.BuildRoleLinks(); err != nil {
		t.Fatal(err)
	}
}

// reference implements the decision of the package comment in the simplest way.
func reference(rules []policy.Rule, members []policy.Member, r policy.Request) bool {
	subjects := []string{"user:" + r.User, "group:Everybody", "group:Authenticated"}
	if r.User == "Default" {
		subjects[2] = "group:Anonymous"
	}
	for range members { // a group of a group of a group: at most one more in each round
		for _, m := range members {
			if slices.Contains(subjects, m.Subject) {
				subjects = append(subjects, m.Group)
			}
		}
	}
	allowed := false
	for _, rule := range rules {
		if slices.Contains(subjects, rule.Subject) && (rule.Port == "*" || rule.Port == r.Port) && (rule.Method == "*" || rule.Method == r.Method) &&
			referencePath(strings.Split(rule.Path, "/"), strings.Split(r.Path, "/"), r.User) {
			if rule.Effect == policy.Deny {
				return false
			}
			allowed = true
		}
	}
	return allowed
}

func referencePath(rule, path []string, user string) bool {
	if len(rule) == 0 || len(path) == 0 {
		return len(rule) == len(path)
	}
	isSame := rule[0] == path[0]
	switch {
	case rule[0] == "*":
		return true // the last segment
	case rule[0] == "{user}":
		isSame = path[0] == user && user != "Default"
	case strings.HasPrefix(rule[0], "{"):
		isSame = path[0] != ""
	}
	return isSame && referencePath(rule[1:], path[1:], user)
}
