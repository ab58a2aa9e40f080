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

func TestCustomModel(t *testing.T) {
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
			t.Errorf("%s %s: %+v", row.user, row.path, d)
		}
	}
}

// A model whose effect lets everyone in while nothing denies is not taken.
func TestD8_CustomModelOpenByDefault(t *testing.T) {
	m, err := model.NewModelFromString("[request_definition]\nr = a, b, c, d\n[policy_definition]\np = a, eft\n[policy_effect]\ne = !some(where (p.eft == deny))\n[matchers]\nm = r.a == p.a\n")
	if err != nil {
		t.Fatal(err)
	}
	enforcer, err := casbin.NewSyncedEnforcer(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.NewCustom(enforcer, nil); err == nil || !strings.Contains(err.Error(), "open by default") {
		t.Errorf("taken: %v", err)
	}
}

func TestD5_CustomModelThatFails(t *testing.T) {
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
		t.Errorf("%+v, %v", d, err)
	}
}
