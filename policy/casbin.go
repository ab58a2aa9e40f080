package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	defaultrolemanager "github.com/casbin/casbin/v2/rbac/default-role-manager"
)

// builtIn is the model. The functions have names of their own, because Casbin
// passes over a function that is registered under the name of one of its own.
//
// mtlsguardBase names the group that a subject is in without a line saying so; the
// other such group is Everybody. mtlsguardUser is false for anything but a user,
// so that a group's name in a request is nobody.
const builtIn = `[request_definition]
r = sub, port, method, path

[policy_definition]
p = sub, port, method, path, eft

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = mtlsguardUser(r.sub) && mtlsguardPort(r.port, p.port) && mtlsguardMethod(r.method, p.method) && mtlsguardPath(r.path, p.path) && (g(r.sub, p.sub) || g(mtlsguardBase(r.sub), p.sub) || g("group:Everybody", p.sub))
`

// Model returns the text of the Casbin model that every engine has.
func Model() string { return builtIn }

// Enforcer returns Casbin's own enforcer for the same rules, for tests and for
// Casbin's tools. Ask it as
//
//	Enforce("user:alice", "internal", "GET", "/orders/7")
//
// It is slow, in proportion to the number of rules, and rules that are added to it
// are not checked. Every call builds another one.
func (e *Engine) Enforcer() (*casbin.Enforcer, error) {
	if !e.loaded() {
		return nil, ErrNoPolicy
	}
	return newEnforcer(e.words, e.lines.len(), e.members.len(),
		func(i int) []string { return strings.Split(e.lines.at(i), ",") },
		func(i int) []string { return strings.Split(e.members.at(i), ",") })
}

// newEnforcer loads lines into Casbin, in one batch of each kind: line by line
// takes many times as long. A panic inside Casbin is an error.
func newEnforcer(v *vocabulary, rules, members int, rule, member func(i int) []string) (_ *casbin.Enforcer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	m, err := model.NewModelFromString(builtIn)
	if err != nil {
		return nil, err
	}
	enforcer, err := casbin.NewEnforcer(m)
	if err != nil {
		return nil, err
	}
	enforcer.EnableAutoSave(false)
	// Casbin's own stops looking ten groups up.
	enforcer.SetRoleManager(defaultrolemanager.NewRoleManagerImpl(2 * maxNesting))
	register(enforcer, v)
	all := func(n int, of func(i int) []string) [][]string {
		lines := make([][]string, n)
		for i := range lines {
			lines[i] = of(i)
		}
		return lines
	}
	if _, err := enforcer.AddPoliciesEx(all(rules, rule)); err != nil {
		return nil, err
	}
	if _, err := enforcer.AddGroupingPoliciesEx(all(members, member)); err != nil {
		return nil, err
	}
	return enforcer, nil
}

// register adds the model's functions.
func register(enforcer *casbin.Enforcer, v *vocabulary) {
	one := func(f func(s string) any) func(args ...any) (any, error) {
		return func(args ...any) (any, error) {
			if len(args) == 1 {
				if s, ok := args[0].(string); ok {
					return f(s), nil
				}
			}
			return nil, errArguments
		}
	}
	two := func(f func(asked, rule string) bool) func(args ...any) (any, error) {
		return func(args ...any) (any, error) {
			if len(args) == 2 {
				asked, ok1 := args[0].(string)
				rule, ok2 := args[1].(string)
				if ok1 && ok2 {
					return f(asked, rule), nil
				}
			}
			return nil, errArguments
		}
	}
	enforcer.AddFunction("mtlsguardUser", one(func(s string) any {
		name, ok := strings.CutPrefix(s, userPrefix)
		return ok && isUser(name)
	}))
	enforcer.AddFunction("mtlsguardBase", one(func(s string) any {
		if s == userPrefix+Default {
			return groupPrefix + Anonymous
		}
		return groupPrefix + Authenticated
	}))
	enforcer.AddFunction("mtlsguardPort", two(matchPort))
	enforcer.AddFunction("mtlsguardMethod", two(v.matchMethod))
	enforcer.AddFunction("mtlsguardPath", two(func(asked, rule string) bool {
		return rule != "" && matchPath(rule, asked) // Casbin asks an empty policy with empty fields
	}))
}

var errArguments = errors.New("wrong arguments")

func matchPort(asked, rule string) bool { return rule == "*" || asked == rule }

// matchMethod reports whether a rule's method, which has been checked, covers a
// request's.
func (v *vocabulary) matchMethod(asked, rule string) bool {
	if v.bit(asked) == 0 {
		return false
	}
	if rule == "*" {
		return true
	}
	for m := range strings.SplitSeq(rule, "|") {
		if m == asked || m == "GET" && asked == "HEAD" {
			return true
		}
	}
	return false
}
