package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	defaultrolemanager "github.com/casbin/casbin/v2/rbac/default-role-manager"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/rulepath"
)

// builtInModel is the model of every policy. Its functions have names of their own:
// Casbin ignores a function that is registered under the name of one of its own.
//
// mtlsguardBase returns the built-in group that a subject is in besides Everybody.
// mtlsguardUser is false for anything but a user, so that a group's name in a request
// has no rights.
const builtInModel = `[request_definition]
r = sub, port, method, path

[policy_definition]
p = sub, port, method, path, eft

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = mtlsguardUser(r.sub) && mtlsguardPort(r.port, p.port) && mtlsguardMethod(r.method, p.method) && mtlsguardPath(r.sub, r.path, p.path) && (g(r.sub, p.sub) || g(mtlsguardBase(r.sub), p.sub) || g("group:Everybody", p.sub))
`

// Enforcer returns a new Casbin enforcer for the same rules, for tests and for Casbin's
// tools. Its requests are a subject, a port, a method and a path:
//
//	Enforce("user:alice", "internal", "GET", "/orders/7")
//
// Its time grows with the number of rules. It does not check rules that you add, and
// they do not reach the Engine. The error of a nil Engine and of the zero value says
// that there is no policy.
func (e *Engine) Enforcer() (*casbin.Enforcer, error) {
	if !e.isBuilt() {
		return nil, errNoPolicy
	}
	return newEnforcer(e.vocabulary, linesOf(&e.rules), linesOf(&e.members))
}

func linesOf(t *lineTable) [][]string {
	lines := make([][]string, t.len())
	for i := range lines {
		lines[i] = strings.Split(t.at(i), ",")
	}
	return lines
}

// newEnforcer loads lines into Casbin, in one batch of each type: line by line takes
// many times as long. A panic inside Casbin becomes an error.
func newEnforcer(v *vocabulary, rules, members [][]string) (_ *casbin.Enforcer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("policy: panic in Casbin: %v", p)
		}
	}()
	m, err := model.NewModelFromString(builtInModel)
	if err != nil {
		return nil, err
	}
	enforcer, err := casbin.NewEnforcer(m)
	if err != nil {
		return nil, err
	}
	enforcer.EnableAutoSave(false)
	// Casbin's default role manager follows only ten levels of groups.
	enforcer.SetRoleManager(defaultrolemanager.NewRoleManagerImpl(2 * maxNesting))
	addMatchers(enforcer, v)
	if _, err := enforcer.AddPoliciesEx(rules); err != nil {
		return nil, err
	}
	if _, err := enforcer.AddGroupingPoliciesEx(members); err != nil {
		return nil, err
	}
	return enforcer, nil
}

// addMatchers registers the functions of the model.
func addMatchers(enforcer *casbin.Enforcer, v *vocabulary) {
	enforcer.AddFunction("mtlsguardUser", function(1, func(s []string) any {
		name, ok := strings.CutPrefix(s[0], userPrefix)
		return ok && isUser(name)
	}))
	enforcer.AddFunction("mtlsguardBase", function(1, func(s []string) any {
		if s[0] == userPrefix+identity.Default {
			return groupPrefix + identity.Anonymous
		}
		return groupPrefix + identity.Authenticated
	}))
	enforcer.AddFunction("mtlsguardPort", function(2, func(s []string) any { return matchPort(s[0], s[1]) }))
	enforcer.AddFunction("mtlsguardMethod", function(2, func(s []string) any { return v.matchMethod(s[0], s[1]) }))
	enforcer.AddFunction("mtlsguardPath", function(3, func(s []string) any {
		subject, requested, rule := s[0], s[1], s[2]
		// Casbin calls it with empty fields for an empty policy.
		return rule != "" && rulepath.Match(rule, requested, strings.TrimPrefix(subject, userPrefix))
	}))
}

var errArguments = errors.New("wrong arguments")

// function makes a Casbin function of n strings.
func function(n int, f func([]string) any) func(args ...any) (any, error) {
	return func(args ...any) (any, error) {
		if len(args) != n {
			return nil, errArguments
		}
		texts := make([]string, n)
		for i, a := range args {
			s, ok := a.(string)
			if !ok {
				return nil, errArguments
			}
			texts[i] = s
		}
		return f(texts), nil
	}
}
