package policy_test

import (
	"context"
	"strings"
	"testing"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

func TestCustomModelDecides(t *testing.T) {
	t.Parallel()
	const text = `[request_definition]
r = sub, port, method, path
[policy_definition]
p = sub, path, hour
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && keyMatch2(r.path, p.path)
`
	m, err := model.NewModelFromString(text)
	if err != nil {
		t.Fatal(err)
	}
	enforcer, err := casbin.NewSyncedEnforcer(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enforcer.AddPolicy("user:alice", "/orders/:id", "9"); err != nil {
		t.Fatal(err)
	}
	c, err := policy.NewCustom(enforcer, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		user, path string
		want       bool
	}{{"alice", "/orders/7", true}, {"alice", "/orders/7/x", false}, {"bob", "/orders/7", false}, {"user:alice", "/orders/7", false}, {"", "/orders/7", false}} {
		d, _ := c.Decide(context.Background(), policy.Request{User: row.user, Port: "p", Method: "GET", Path: row.path})
		if d.Allowed != row.want {
			t.Errorf("%s %s: got %+v, want %v", row.user, row.path, d, row.want)
		}
	}
}

// A model whose effect allows everything that no rule denies is rejected.
// Covers D8.
func TestCustomModelThatIsOpenByDefaultIsRejected(t *testing.T) {
	t.Parallel()
	m, err := model.NewModelFromString("[request_definition]\nr = a, b, c, d\n[policy_definition]\np = a, eft\n[policy_effect]\ne = !some(where (p.eft == deny))\n[matchers]\nm = r.a == p.a\n")
	if err != nil {
		t.Fatal(err)
	}
	enforcer, err := casbin.NewSyncedEnforcer(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.NewCustom(enforcer, nil); err == nil || !strings.Contains(err.Error(), "open by default") {
		t.Errorf("accepted: %v", err)
	}
}

// Covers D5.
func TestCustomModelThatFailsRefuses(t *testing.T) {
	t.Parallel()
	m, err := model.NewModelFromString("[request_definition]\nr = a, b, c, d\n[policy_definition]\np = a, b\n[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = r.a == p.a && regexMatch(r.d, p.b)\n")
	if err != nil {
		t.Fatal(err)
	}
	enforcer, err := casbin.NewSyncedEnforcer(m)
	if err != nil {
		t.Fatal(err)
	}
	c, err := policy.NewCustom(enforcer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enforcer.AddPolicy("user:alice", "("); err != nil { // a pattern that cannot be compiled
		t.Fatal(err)
	}
	d, err := c.Decide(context.Background(), policy.Request{User: "alice", Port: "p", Method: "GET", Path: "/x"})
	if err == nil || d.Allowed || d.Reason != reason.PolicyError {
		t.Errorf("got %+v, %v", d, err)
	}
}

// Covers D5, D13.
func TestCustomEnforcerFailsClosed(t *testing.T) {
	t.Parallel()
	if d, err := policy.NewCustom(nil, nil); err == nil || d != nil {
		t.Error("a nil enforcer is accepted")
	}
	newEnforcer := func(matcher string) *casbin.SyncedEnforcer {
		m, err := model.NewModelFromString("[request_definition]\nr = a, b, c, d\n[policy_definition]\np = a, eft\n[policy_effect]\ne = some(where (p.eft == allow)) && !some(where (p.eft == deny))\n[matchers]\nm = " + matcher + "\n")
		if err != nil {
			t.Fatal(err)
		}
		e, err := casbin.NewSyncedEnforcer(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range [][]any{{"user:alice", "allow"}, {"user:bob", "deny"}} {
			if _, err := e.AddPolicy(line...); err != nil {
				t.Fatal(err)
			}
		}
		return e
	}
	if d, err := policy.NewCustom(newEnforcer("nothing(r.a)"), nil); err == nil || d != nil {
		t.Error("an enforcer that cannot decide is accepted")
	}
	panics := false
	d, err := policy.NewCustom(newEnforcer("r.a == p.a"), func(r policy.Request) []any {
		if panics {
			panic("x")
		}
		return []any{"user:" + r.User, r.Port, r.Method, r.Path}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		user   string
		reason reason.Reason
		rule   string
	}{{"alice", "", "[user:alice allow]"}, {"bob", reason.Denied, "[user:bob deny]"}, {"carol", reason.NoRule, ""}} {
		got, err := d.Decide(t.Context(), policy.Request{User: row.user, Port: "p", Method: "GET", Path: "/"})
		if err != nil || got.Allowed != (row.reason == "") || got.Reason != row.reason || got.Rule.String() != row.rule {
			t.Errorf("%s: got %+v, %v", row.user, got, err)
		}
	}
	panics = true
	if got, err := d.Decide(t.Context(), policy.Request{User: "alice", Port: "p", Method: "GET", Path: "/"}); err == nil || got.Allowed || got.Reason != reason.PolicyError {
		t.Errorf("got %+v, %v", got, err)
	}
}
