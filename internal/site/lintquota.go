package site

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/rulepath"
	"github.com/mtlsguard/mtlsguard/policy"
)

// quotas reports quotas that count nothing: the policy allows no request that they select.
func (x *linter) quotas() {
	for _, q := range x.file.Quotas {
		at := configerror.Error{File: x.path, Line: q.Line()}
		group := q.Group.Value
		if group != "" && !x.isGroup(group) {
			x.report("quotas", at, fmt.Sprintf("quota %q counts nothing: no line of the policy names group:%s", q.Name, group), x.groupHint(group))
			continue
		}
		switch {
		case x.allowsAny(q, x.subjectsOf(group)):
		case group == "":
			x.report("quotas", at, fmt.Sprintf("quota %q counts nothing: no rule allows anything on %s", q.Name, q.Path.Value), "compare the path with those of the policy")
		case q.Path.Value == "":
			x.report("quotas", at, fmt.Sprintf("quota %q counts nothing: no rule allows group:%s anything", q.Name, group), "p, group:"+group+", PORT, GET, /PATH, allow")
		default:
			x.report("quotas", at, fmt.Sprintf("quota %q counts nothing: no rule allows group:%s anything on %s", q.Name, group, q.Path.Value), "compare the path with those of the policy")
		}
	}
}

var builtInGroups = []string{identity.Everybody, identity.Authenticated, identity.Anonymous}

// isGroup reports whether a group is built in, or a line of the policy names it.
func (x *linter) isGroup(group string) bool {
	subject := "group:" + group
	return slices.Contains(builtInGroups, group) ||
		slices.ContainsFunc(x.rules, func(r policy.Rule) bool { return r.Subject == subject }) ||
		slices.ContainsFunc(x.members, func(m policy.Member) bool { return m.Subject == subject || m.Group == subject })
}

// groupHint suggests a built-in group that differs in case alone.
func (x *linter) groupHint(group string) string {
	for _, name := range builtInGroups {
		if strings.EqualFold(name, group) {
			return "did you mean " + name + "?"
		}
	}
	return "g, user:NAME, group:" + group
}

// subjectsOf returns the subjects that users of a group may have, and nil for every subject.
func (x *linter) subjectsOf(group string) map[string]bool {
	if group == "" || group == identity.Everybody || group == identity.Authenticated {
		return nil
	}
	out := map[string]bool{"group:" + group: true, "group:" + identity.Everybody: true}
	users := []string{identity.Default}
	for _, m := range x.members {
		if user, ok := strings.CutPrefix(m.Subject, "user:"); ok {
			users = append(users, user)
		}
	}
	for _, user := range users {
		groups := x.g.Engine.Groups(user)
		if !slices.Contains(groups, group) {
			continue
		}
		out["user:"+user] = true
		for _, g := range groups {
			out["group:"+g] = true
		}
	}
	return out
}

// allowsAny reports whether a rule for one of the subjects allows a request on the path of the
// quota. It leaves deny rules out.
func (x *linter) allowsAny(q config.Quota, subjects map[string]bool) bool {
	path, _ := rulepath.Parse(q.Path.Value) // an error only for ""
	return slices.ContainsFunc(x.rules, func(r policy.Rule) bool {
		if r.Effect != policy.Allow || subjects != nil && !subjects[r.Subject] {
			return false
		}
		if q.Path.Value == "" {
			return true
		}
		allowed, err := rulepath.Parse(r.Path)
		return err == nil && allowed.Overlaps(path)
	})
}
