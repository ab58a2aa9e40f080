package allow_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
	"github.com/mtlsguard/mtlsguard/outbound/allow"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

const rules = `
p, user:alice, outbound, USE, /partner-a, allow
p, group:billing, outbound, *, /*, allow
p, user:mallory, outbound, USE, /partner-b, deny
p, user:bob, internal, *, /*, allow
g, user:mallory, group:billing
`

func loadRules(t *testing.T) *policy.Engine {
	t.Helper()
	engine, err := policy.Load("outbound.csv", strings.NewReader(rules), append(allow.Vocabulary(), policy.WithPorts("internal"))...)
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// The policy allows aliases; every other call is refused with its reason.
func TestPolicyDecidesTheAliasOfAUser(t *testing.T) {
	t.Parallel()
	engine := loadRules(t)
	broken := deciderFunc(func(policy.Request) (policy.Decision, error) {
		return policy.Decision{Allowed: true}, errors.New("broken") // an error denies, whatever the decision is
	})
	for _, row := range []struct {
		name, user, alias string
		rules             policy.Decider
		want              reason.Reason
	}{
		{"allowed", "alice", "partner-a", engine, ""},
		{"another alias", "alice", "partner-b", engine, reason.NoRule},
		{"another user", "carol", "partner-a", engine, reason.NoRule},
		{"by a group", "mallory", "partner-a", engine, ""},
		{"denied", "mallory", "partner-b", engine, reason.Denied},
		{"another port's rule", "bob", "partner-a", engine, reason.NoRule},
		{"the anonymous user", identity.Default, "partner-a", engine, reason.NoRule},
		{"no identity", "", "partner-a", engine, reason.PolicyError},
		{"the policy fails", "alice", "partner-a", broken, reason.PolicyError},
		{"the zero decision", "alice", "partner-a", deciderFunc(func(policy.Request) (policy.Decision, error) { return policy.Decision{}, nil }), reason.NoRule},
		{"no engine", "alice", "partner-a", (*policy.Engine)(nil), reason.PolicyError},
	} {
		ctx := t.Context()
		if row.user != "" {
			ctx = mtlsguardtest.Request(t, "GET", "/", row.user).Context()
		}
		may, err := allow.New(row.rules)
		if err != nil {
			t.Fatal(err)
		}
		err = may(ctx, row.alias)
		refusal, ok := errors.AsType[*reason.Refusal](err)
		switch {
		case row.want == "" && err != nil, row.want != "" && (!ok || refusal.Reason != row.want):
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
	if _, err := allow.New(nil); err == nil {
		t.Error("a nil policy is accepted")
	}
}

type deciderFunc func(policy.Request) (policy.Decision, error)

func (f deciderFunc) Decide(_ context.Context, r policy.Request) (policy.Decision, error) {
	return f(r)
}
