package policy_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/persist"
	fileadapter "github.com/casbin/casbin/v2/persist/file-adapter"

	"github.com/mtlsguard/mtlsguard/policy"
)

// lines is an adapter over lines of fields, like an adapter for a database.
type lines [][]string

func (l lines) LoadPolicy(m model.Model) error {
	for _, line := range l {
		if line == nil {
			return errBroken
		}
		if err := persist.LoadPolicyArray(line, m); err != nil {
			return err
		}
	}
	return nil
}

var errReadOnly = errors.New("read only")

func (lines) SavePolicy(model.Model) error                              { return errReadOnly }
func (lines) AddPolicy(string, string, []string) error                  { return errReadOnly }
func (lines) RemovePolicy(string, string, []string) error               { return errReadOnly }
func (lines) RemoveFilteredPolicy(string, string, int, ...string) error { return errReadOnly }

func TestFromAdapterNumbersRules(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy.csv")
	if err := os.WriteFile(file, []byte(office), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]persist.Adapter{
		"file": fileadapter.NewAdapter(file),
		"lines": lines{
			{"p", "group:finance", "internal", "GET", "/orders/*", "allow"},
			{"g", "user:alice", "group:finance"},
		},
	} {
		e, err := policy.FromAdapter(a, policy.WithPorts("internal", "public"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := decide(t, e, "alice", "internal", "GET", "/orders/7"); !d.Allowed || d.Rule.String() != "rule 1" {
			t.Errorf("%s: got %+v, want rule 1", name, d)
		}
		if allowed(t, e, "bob", "/orders/7") {
			t.Errorf("%s: bob is allowed", name)
		}
	}
}

// Covers D6.
func TestAdaptersAreCheckedLikeFiles(t *testing.T) {
	t.Parallel()
	good := []string{"p", "user:a", "internal", "GET", "/a", "allow"}
	for _, c := range []struct {
		line  []string
		parts string
	}{
		{nil, "broken"},
		{[]string{""}, "panic"},
		{[]string{"", "user:a"}, "panic"},
		{[]string{"x", "user:a"}, "cannot load"},
		{[]string{"p", "user:a", "internal", "GET", "/a"}, "cannot load"},
		{[]string{"p2", "user:a", "internal", "GET", "/a", "allow"}, `"p2"`},
		{[]string{"g2", "user:a", "group:b"}, `"g2"`},
		{[]string{"g", "user:a", "group:b", "group:c"}, "3 fields"},
		{[]string{"p", "user:a\np, user:b", "internal", "GET", "/a", "allow"}, "valid name"},
		{[]string{"p", "user:a,b", "internal", "GET", "/a", "allow"}, "valid name"},
		{[]string{"p", `user:"a"`, "internal", "GET", "/a", "allow"}, "valid name"},
		{[]string{"p", "user:a ", "internal", "GET", "/a", "allow"}, "valid name"},
		{[]string{"p", "user:a", "internal ", "GET", "/a", "allow"}, "port"},
		{[]string{"p", "user:a", "intranet", "GET", "/a", "allow"}, "no port"},
		{[]string{"p", "user:a", "internal", "GET", "/a,b", "allow"}, `","`},
		{[]string{"p", "user:a", "internal", "GET", "/a\np, user:b, *, *, /*, allow", "allow"}, "control"},
		{[]string{"p", "user:a", "internal", "GET", "/a ", "allow"}, "blank"},
		{[]string{"p", "user:a", "internal", "GET", "/a", "allow "}, "neither"},
		{[]string{"p", "user:a", "internal", "GET", "/:id", "allow"}, "{id}"},
		{[]string{"g", "user:a\r\ng, user:b", "group:b"}, "valid name"},
	} {
		_, err := policy.FromAdapter(lines{good, c.line, good}, policy.WithPorts("internal"))
		wantOneError(t, err, "", c.parts)
		if t.Failed() {
			t.Fatalf("line %q", c.line)
		}
	}
	if _, err := policy.FromAdapter(nil); err == nil {
		t.Error("New accepts no adapter")
	}
	if _, err := policy.FromAdapter((*fileadapter.Adapter)(nil)); err == nil {
		t.Error("New accepts a nil adapter")
	}
	if _, err := policy.FromAdapter(fileadapter.NewAdapter(filepath.Join(t.TempDir(), "missing"))); err == nil {
		t.Error("New accepts a missing file")
	}
}

// Covers D12.
func TestEnforcerHasTheBuiltInModelAndNoMatcherOfCasbins(t *testing.T) {
	t.Parallel()
	e := mustLoad(t, office)
	enforcer, err := e.Enforcer()
	if err != nil {
		t.Fatal(err)
	}
	m := enforcer.GetModel()
	for section, want := range map[string]string{
		"r": "sub, port, method, path",
		"p": "sub, port, method, path, eft",
		"e": "some(where (p_eft == allow)) && !some(where (p_eft == deny))",
	} {
		if got := m[section][section].Value; got != want {
			t.Errorf("%s = %s, want %s", section, got, want)
		}
	}
	for _, name := range []string{"keyMatch", "regexMatch", "globMatch", "ipMatch"} {
		if strings.Contains(m.ToText(), name) {
			t.Errorf("the model uses %s", name)
		}
	}
	for _, request := range [][]any{{1, "p", "GET", "/"}, {"user:alice", 2, "GET", "/"}, {"user:alice", "internal", 3, "/orders/7"}, {"user:alice", "internal", "GET", 4}} {
		if ok, err := enforcer.Enforce(request...); ok || err == nil {
			t.Errorf("Casbin decides %v: %t, %v", request, ok, err)
		}
	}
	if ok, err := enforcer.AddPolicy("user:bob", "*", "*", "/*", "allow"); !ok || err != nil {
		t.Fatal(err)
	}
	if allowed(t, e, "bob", "/x") {
		t.Error("a rule that was added to an enforcer reached the engine")
	}
}

// raw is an adapter that fills the model without Casbin's checks.
type raw struct {
	lines
	rule, member []string
}

func (r raw) LoadPolicy(m model.Model) error {
	m["p"]["p"].Policy = append(m["p"]["p"].Policy, r.rule)
	m["g"]["g"].Policy = append(m["g"]["g"].Policy, r.member)
	return nil
}

// Covers D6.
func TestAdaptersThatSkipCasbinsChecksAreChecked(t *testing.T) {
	t.Parallel()
	rule, member := []string{"user:a", "*", "GET", "/a", "allow"}, []string{"user:a", "group:b"}
	if _, err := policy.FromAdapter(raw{rule: rule, member: member}); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		rule, member []string
		parts        string
	}{
		{rule[:4], member, "rule 1: there are 4 fields, a rule has 5"},
		{append(rule[:5:5], "x"), member, "rule 1: there are 6 fields"},
		{nil, member, "rule 1: there are 0 fields"},
		{rule, member[:1], "membership 1: there are 1 fields, a membership has 2"},
		{rule, append(member[:2:2], "x"), "membership 1: there are 3 fields"},
	} {
		_, err := policy.FromAdapter(raw{rule: row.rule, member: row.member})
		wantOneError(t, err, "", row.parts)
	}
}
