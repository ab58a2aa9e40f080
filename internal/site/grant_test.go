package site

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/policy"
)

// Covers D9.
func TestGrantsAreOfTheUserOrOfTheirGroups(t *testing.T) {
	t.Parallel()
	lint := func(text string) *linter {
		engine, err := policy.Load("policy.csv", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		x := &linter{g: &Generation{Engine: engine}}
		x.addPolicy()
		return x
	}
	x := lint(`p, group:finance, internal, GET, /a, allow
p, group:idle, internal, GET, /a, deny
p, user:dora, internal, GET, /a, deny
p, user:erik, internal, GET, /a, allow
p, user:erik, internal, GET, /b, deny
p, group:Anonymous, internal, GET, /a, allow
g, user:alice, group:accounts
g, group:accounts, group:finance
g, user:bob, group:idle
`)
	for user, want := range map[string]bool{
		"alice": true, "bob": false, "dora": false, "erik": true, "other": false, "finance": false, "Default": true, "group:finance": false, "": false,
	} {
		if got := x.hasGrant(user); got != want {
			t.Errorf("%q: %v, want %v", user, got, want)
		}
	}
	// {user} never matches Default.
	if x := lint("p, group:Everybody, *, GET, /users/{user}, allow\n"); x.hasGrant("Default") || !x.hasGrant("other") {
		t.Error("a rule with {user} counts for Default, or for no user")
	}
	if !lint("p, group:Authenticated, *, GET, /a, allow\n").hasGrant("other") {
		t.Error("a rule for Authenticated is not a rule for every named user")
	}
}
