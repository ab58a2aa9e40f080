package policy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/policy"
)

func TestGroupsIncludeNestedAndBuiltInOnes(t *testing.T) {
	t.Parallel()
	e := mustLoad(t, office+`g, user:dave, group:finance
g, group:finance, group:staff
g, group:staff, group:house
g, group:boss, group:staff
g, group:Everybody, group:all
`)
	for user, want := range map[string]string{
		"alice":     "Authenticated Everybody all finance house people staff",
		"carol":     "Authenticated Everybody all boss finance house people staff",
		"outsider":  "Authenticated Everybody all people",
		"finance":   "Authenticated Everybody all people",
		"Default":   "Anonymous Everybody all visitors",
		"":          "",
		"group:x":   "",
		"Everybody": "",
	} {
		if got := strings.Join(e.Groups(user), " "); got != want {
			t.Errorf("%q is in %s, want %s", user, got, want)
		}
	}
	e.Groups("alice")[0] = "changed"
	if e.Groups("alice")[0] != "Authenticated" {
		t.Error("the result is not the caller's own")
	}
}

// Covers D10.
func TestCyclesOfGroupsAreRejected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lines    string // member>group
		position string
		parts    string
	}{
		{"a>a", "p.csv:1", "group:a → group:a"},
		{"a>b b>a", "p.csv:2", "group:a → group:b → group:a"},
		{"x>a a>b b>c c>a c>y", "p.csv:4", "group:a → group:b → group:c → group:a"},
		{"Everybody>a a>b b>a", "p.csv:3", "group:a → group:b → group:a"},
		{"a>b a>b b>a b>a", "p.csv:3", "cycle"},
		{"a>y a>b b>a", "p.csv:3", "group:a → group:b → group:a"},
	} {
		var text strings.Builder
		for l := range strings.FieldsSeq(c.lines) {
			from, to, _ := strings.Cut(l, ">")
			fmt.Fprintf(&text, "g, group:%s, group:%s\n", from, to)
		}
		_, err := policy.Load("p.csv", strings.NewReader(text.String()))
		wantOneError(t, err, c.position, c.parts)
	}
	_, err := policy.Load("p.csv", strings.NewReader("g, group:a, group:a\ng, group:b, group:c\ng, group:c, group:b\n"))
	if s := fmt.Sprint(err); strings.Count(s, "cycle") != 2 {
		t.Errorf("two cycles: %s", s)
	}
	// A long cycle is shortened, and each cycle is reported once.
	var long strings.Builder
	for i := range 12 {
		fmt.Fprintf(&long, "g, group:g%d, group:g%d\n", i, (i+1)%12)
	}
	_, err = policy.Load("p.csv", strings.NewReader(long.String()+"g, group:x, group:g0\n"))
	if s := fmt.Sprint(err); s != "p.csv:12: groups form a cycle: group:g0 → group:g1 → group:g2 → group:g3 → group:g4 → group:g5 → group:g6 → … → group:g0 (remove one of these lines)" {
		t.Error(s)
	}
	// Without a file, the number of the membership is its place.
	_, err = policy.New(nil, []policy.Member{{Subject: "group:a", Group: "group:b"}, {Subject: "group:b", Group: "group:a"}})
	if s := fmt.Sprint(err); !strings.HasPrefix(s, "membership 2: groups form a cycle") {
		t.Error(s)
	}
	// The same group by two paths is not a cycle.
	mustLoad(t, "g, group:a, group:b\ng, group:a, group:c\ng, group:b, group:d\ng, group:c, group:d\n")
}

// Covers D10.
func TestNestingAndNumberOfGroupsAreBounded(t *testing.T) {
	t.Parallel()
	chain := func(n int) []policy.Member {
		m := []policy.Member{{Subject: "user:u", Group: "group:g1"}}
		for i := 1; i < n; i++ {
			m = append(m, policy.Member{Subject: fmt.Sprintf("group:g%d", i), Group: fmt.Sprintf("group:g%d", i+1)})
		}
		return m
	}
	rules := []policy.Rule{{Subject: "group:g32", Port: "*", Method: "*", Path: "/*", Effect: policy.Allow}}
	e := mustNew(t, rules, chain(32))
	if !allowed(t, e, "u", "/") {
		t.Error("32 groups deep is not reached")
	}
	if enforcer, err := e.Enforcer(); err != nil {
		t.Error(err)
	} else if ok, err := enforcer.Enforce("user:u", "p", "GET", "/"); !ok || err != nil {
		t.Errorf("Casbin does not reach 32 groups deep: %v, %v", ok, err)
	}
	_, err := policy.New(nil, chain(33))
	wantOneError(t, err, "", "membership 2: group:g1 is nested…32 groups deep")
	_, err = policy.New(nil, chain(100_000))
	wantOneError(t, err, "", "32 groups deep")

	// Beyond the bound of the report, too deep nesting is only counted.
	bad := append(make([]policy.Member, 100), chain(33)...)
	_, err = policy.New(nil, bad)
	if all := configerror.All(err); len(all) != 101 || !strings.Contains(all[100].What, "not shown: 101") {
		t.Errorf("%d errors, the last %v", len(all), all[len(all)-1])
	}

	var many []policy.Member
	for i := range 1022 {
		many = append(many, policy.Member{Subject: "user:u", Group: fmt.Sprintf("group:g%d", i)})
	}
	mustNew(t, nil, many) // with Everybody and Authenticated, 1,024
	many = append(many, policy.Member{Subject: "group:g7", Group: "group:one-more"})
	_, err = policy.New(nil, many)
	wantOneError(t, err, "", "user:u…1,024 groups")
}

// A user in few and in many groups, at paths with few and with many lines: the decision does
// not depend on which of the two lists is searched.
// Covers D16.
func TestManyGroupsAndManyRulesDecideAlike(t *testing.T) {
	t.Parallel()
	for _, groups := range []int{1, 7, 8, 9, 100, 900} {
		for _, lines := range []int{1, 8, 9, 50, 2000} {
			var rules []policy.Rule
			for i := range lines {
				rules = append(rules, policy.Rule{Subject: fmt.Sprintf("group:g%d", i), Port: "*", Method: "GET", Path: "/a", Effect: policy.Allow})
			}
			for i := range groups {
				rules = append(rules, policy.Rule{Subject: fmt.Sprintf("group:g%d", i), Port: "*", Method: "GET", Path: "/elsewhere", Effect: policy.Allow})
			}
			rules = append(rules, policy.Rule{Subject: fmt.Sprintf("group:g%d", groups-1), Port: "*", Method: "POST", Path: "/a", Effect: policy.Deny})
			var members []policy.Member
			for i := range groups {
				members = append(members, policy.Member{Subject: "user:u", Group: fmt.Sprintf("group:g%d", i)})
			}
			members = append(members, policy.Member{Subject: "user:last", Group: fmt.Sprintf("group:g%d", lines-1)})
			e := mustNew(t, rules, members)
			if d := decide(t, e, "u", "p", "GET", "/a"); d.Rule.Number != 1 || !d.Allowed {
				t.Errorf("%d groups, %d lines: %+v", groups, lines, d)
			}
			if d := decide(t, e, "u", "p", "POST", "/a"); d.Reason != "denied" {
				t.Errorf("%d groups, %d lines: %+v", groups, lines, d)
			}
			if d := decide(t, e, "last", "p", "GET", "/a"); !d.Allowed || d.Rule.Number != lines {
				t.Errorf("%d groups, %d lines: %+v", groups, lines, d)
			}
			if d := decide(t, e, "outsider", "p", "GET", "/a"); d.Allowed {
				t.Errorf("%d groups, %d lines: %+v", groups, lines, d)
			}
		}
	}
}

// Covers D14.
func TestEnginesShareNothing(t *testing.T) {
	t.Parallel()
	rules := []policy.Rule{{Subject: "group:g", Port: "*", Method: "*", Path: "/*", Effect: policy.Allow}}
	members := []policy.Member{{Subject: "user:u", Group: "group:g"}}
	old := mustNew(t, rules, members)
	without := mustNew(t, rules, nil)
	rules[0].Effect, members[0].Subject = policy.Deny, "user:other" // the engines must have copies
	if !allowed(t, old, "u", "/") || allowed(t, without, "u", "/") || !slices.Contains(old.Groups("u"), "g") {
		t.Error("the engine shares its input")
	}
	if d, err := old.Decide(context.Background(), policy.Request{User: "other", Port: "p", Method: "GET", Path: "/"}); err != nil || d.Allowed {
		t.Error("the engine shares its input")
	}
}
