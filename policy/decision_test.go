package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/policycache"
	"github.com/mtlsguard/mtlsguard/policy"
)

func TestPositionIsPrintedAndMarshalledAlike(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		p    policy.Position
		text string
	}{
		{policy.Position{}, ""},
		{policy.Position{File: "p.csv", Line: 3, Number: 2}, "p.csv:3"},
		{policy.Position{Line: 3, Number: 2}, "line 3"},
		{policy.Position{File: "p.csv", Number: 2}, "p.csv rule 2"},
		{policy.Position{Number: 2}, "rule 2"},
		{policy.Position{File: "p.csv"}, "p.csv"},
		{policy.Position{Text: "opa: data.http.allow", File: "p.csv", Line: 3, Number: 2}, "opa: data.http.allow"},
	} {
		if got := row.p.String(); got != row.text {
			t.Errorf("%+v: %q, want %q", row.p, got, row.text)
		}
		data, err := json.Marshal(policy.Decision{Allowed: true, Rule: row.p})
		want := `{"allowed":true,"rule":"` + row.text + `"}`
		if row.text == "" {
			want = `{"allowed":true}`
		}
		if err != nil || string(data) != want {
			t.Errorf("%+v: got %s, %v; want %v", row.p, data, err, want)
		}
	}
}

// A cache entry changes no decision, also for another user, port or engine.
// Covers D14.
func TestCallerCacheChangesNoDecision(t *testing.T) {
	t.Parallel()
	one := mustLoad(t, "p, user:alice, in, GET, /a, allow\np, group:Everybody, out, GET, /a, allow\n")
	two := mustLoad(t, "p, user:bob, in, GET, /a, allow\n")
	var entry policycache.Entry
	for _, row := range []struct {
		e          *policy.Engine
		user, port string
		want       bool
	}{
		{one, "alice", "in", true}, {one, "alice", "in", true}, {one, "bob", "in", false}, {one, "bob", "out", true}, {one, "alice", "out", true},
		{one, "alice", "in", true}, {two, "alice", "in", false}, {two, "bob", "in", true}, {two, "group:x", "in", false}, {two, "group:x", "in", false}, {two, "bob", "in", true},
	} {
		r := policy.Request{User: row.user, Port: row.port, Method: "GET", Path: "/a", Caller: &entry}
		got, err := row.e.Decide(t.Context(), r)
		r.Caller = nil
		without, errWithout := row.e.Decide(t.Context(), r)
		if got.Allowed != row.want || got != without || (err == nil) != (errWithout == nil) {
			t.Errorf("%s on %s: %+v, %v; without the cache %+v, %v", row.user, row.port, got, err, without, errWithout)
		}
	}
	if entry.Load() == nil {
		t.Error("nothing was cached")
	}
}

func TestRulesBelongToTheCaller(t *testing.T) {
	t.Parallel()
	e := mustNew(t, []policy.Rule{
		{Subject: "user:u", Port: "*", Method: "GET", Path: "/a", Effect: policy.Allow, File: "a.csv", Line: 1 << 31},
		{Subject: "user:u", Port: "*", Method: "GET", Path: "/b", Effect: policy.Deny, File: "b.csv", Line: -1},
		{Subject: "user:u", Port: "*", Method: "GET", Path: "/c", Effect: policy.Deny, File: "a.csv", Line: 7},
	}, []policy.Member{{Subject: "user:u", Group: "group:g", File: "a.csv", Line: 8}})
	rules, members := e.Rules()
	if len(rules) != 3 || rules[0].Line != 1<<31 || rules[1].Line != 0 || rules[1].File != "b.csv" || rules[2].File != "a.csv" || rules[2].Line != 7 {
		t.Errorf("got %+v, want b.csv", rules)
	}
	if len(members) != 1 || members[0] != (policy.Member{Subject: "user:u", Group: "group:g", File: "a.csv", Line: 8}) {
		t.Errorf("got %+v", members)
	}
	rules[0].Effect, members[0].Group = policy.Deny, "group:h"
	if again, membersAgain := e.Rules(); again[0].Effect != policy.Allow || membersAgain[0].Group != "group:g" || !allowed(t, e, "u", "/a") {
		t.Error("the engine shares its rules")
	}
}
