package rulepath

import (
	"strings"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/identity"
)

// OwnName returns the name that {user} matches in a request of a user. It is "" for the
// anonymous user, whom {user} never matches: otherwise /users/Default would be a path of
// its own for callers without a certificate.
func OwnName(user string) string {
	if user == identity.Default {
		return ""
	}
	return user
}

// Match reports whether the path of a checked rule covers the path of a user's
// request. Casbin and Explain call it. Decide comes to the same answer by the tree.
func Match(rule, path, user string) bool {
	if rule == Star || path == Star {
		return rule == path
	}
	return IsUnambiguous(path) && matchSegments(rule, path, user)
}

// matchSegments is Match for an unambiguous path.
func matchSegments(rule, path, user string) bool {
	rule, path = rule[1:], path[1:]
	for {
		want, ruleRest, ruleMore := strings.Cut(rule, "/")
		got, pathRest, pathMore := strings.Cut(path, "/")
		switch {
		case want == "*":
			return true
		case want == Own:
			if got == "" || got != OwnName(user) {
				return false
			}
		case IsParam(want):
			if got == "" {
				return false
			}
		case want != got:
			return false
		}
		if !ruleMore || !pathMore {
			return ruleMore == pathMore
		}
		rule, path = ruleRest, pathRest
	}
}

// IsForbidden reports whether a byte of a request's path makes the path ambiguous:
// control characters, and the backslash, which some servers take for a slash.
func IsForbidden(b byte) bool { return b < 0x20 || b == 0x7f || b == '\\' }

// IsUnambiguous reports whether all servers read a request's path alike. The guard refuses other
// paths before the policy decides. No rule matches them either, so that an Engine without a guard
// in front fails closed.
func IsUnambiguous(path string) bool {
	if path == "" || path[0] != '/' || !utf8.ValidString(path) {
		return false
	}
	for i := range len(path) {
		if IsForbidden(path[i]) {
			return false
		}
	}
	for rest := path[1:]; ; {
		segment, after, more := strings.Cut(rest, "/")
		if segment == "." || segment == ".." || segment == "" && more {
			return false
		}
		if !more {
			return true
		}
		rest = after
	}
}
