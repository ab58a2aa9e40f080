package policy

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

const (
	userPrefix  = "user:"
	groupPrefix = "group:"
	maxName     = username.MaxLen // of ports and methods too
)

// isBuiltIn reports whether a group's members are given, and cannot be changed.
func isBuiltIn(group string) bool {
	return group == Everybody || group == Authenticated || group == Anonymous
}

// isUser reports whether s can be the user of a request. A user like "default" has no
// rule, because no rule can name it.
func isUser(s string) bool { return username.IsName(s) && !isBuiltIn(s) }

// checkSubject returns what is wrong with a subject and how to mend it, or "".
func checkSubject(s string) (what, hint string) {
	const form = "a subject is user:NAME or group:NAME"
	if name, ok := strings.CutPrefix(s, userPrefix); ok {
		switch {
		case !username.IsName(name):
			return escape.Quote(s, escape.Short) + " does not hold a valid name", username.Hint
		case name == Default || username.Canonical(name) == "":
		case username.Canonical(name) == Default:
			return escape.Quote(s, escape.Short) + " is reserved", "the anonymous user is user:Default"
		default:
			return escape.Quote(s, escape.Short) + " is reserved", username.Canonical(name) + " is a group: write group:" + username.Canonical(name)
		}
		return "", ""
	}
	if name, ok := strings.CutPrefix(s, groupPrefix); ok {
		switch {
		case !username.IsName(name):
			return escape.Quote(s, escape.Short) + " does not hold a valid name", username.Hint
		case username.Canonical(name) == Default:
			return escape.Quote(s, escape.Short) + " is reserved", "Default is a user: write user:Default, or group:Anonymous"
		} // a group "everybody" is a finding of Lint
		return "", ""
	}
	switch {
	case s == "":
		return "the subject is empty", form
	case s == "*":
		return `the subject "*" means nothing`, "write group:Everybody, or group:Authenticated for users with a name"
	case username.IsName(s):
		return escape.Quote(s, escape.Short) + " does not say whether it is a user or a group", "write user:" + s + " or group:" + s
	}
	return escape.Quote(s, escape.Short) + " is not a subject", form
}
