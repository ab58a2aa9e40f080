package policy

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

const (
	userPrefix  = "user:"
	groupPrefix = "group:"
)

// isBuiltIn reports whether a group takes no members from a policy.
func isBuiltIn(group string) bool {
	return group == identity.Everybody || group == identity.Authenticated || group == identity.Anonymous
}

// isUser reports whether s can be the user of a request. A user "default" has no rules
// of its own, because no rule can name it.
func isUser(s string) bool { return username.IsName(s) && !isBuiltIn(s) }

// hasSubject reports whether a user in these groups, which are sorted, has a subject.
func hasSubject(subject, user string, groups []string) bool {
	if group, ok := strings.CutPrefix(subject, groupPrefix); ok {
		_, found := slices.BinarySearch(groups, group)
		return found
	}
	return subject == userPrefix+user
}

// checkSubject returns the error in a subject and a hint, or "".
func checkSubject(s string) (wrong, hint string) {
	const form = "a subject is user:NAME or group:NAME"
	if name, ok := strings.CutPrefix(s, userPrefix); ok {
		switch reserved := username.Canonical(name); {
		case !username.IsName(name):
			return escape.Quote(s, escape.Short) + " does not contain a valid name", username.Hint
		case name == identity.Default || reserved == "":
			return "", ""
		case reserved == identity.Default:
			return escape.Quote(s, escape.Short) + " is reserved", "the anonymous user is user:Default"
		default:
			return escape.Quote(s, escape.Short) + " is reserved", reserved + " is a group: write group:" + reserved
		}
	}
	if name, ok := strings.CutPrefix(s, groupPrefix); ok {
		switch {
		case !username.IsName(name):
			return escape.Quote(s, escape.Short) + " does not contain a valid name", username.Hint
		case username.Canonical(name) == identity.Default:
			return escape.Quote(s, escape.Short) + " is reserved", "Default is a user: write user:Default, or group:Anonymous"
		} // Lint reports a group "everybody"
		return "", ""
	}
	switch {
	case s == "":
		return "the subject is empty", form
	case s == "*":
		return `"*" is not a subject`, "write group:Everybody, or group:Authenticated for users with a name"
	case username.IsName(s):
		return escape.Quote(s, escape.Short) + " is neither user:NAME nor group:NAME", "write user:" + s + " or group:" + s
	}
	return escape.Quote(s, escape.Short) + " is not a subject", form
}
