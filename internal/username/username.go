// Package username has the grammar of user names and the reserved names. It is the only
// copy of these rules: certmap, policy, middleware, config and the command use it.
package username

import "strings"

// MaxLen is the length of the longest name, in bytes.
const MaxLen = 128

// Hint is the hint of an error about a text that is not a name.
const Hint = "a letter or digit, then up to 127 of A-Z a-z 0-9 . _ @ -"

// ReservedHint is the hint of an error about a reserved name.
const ReservedHint = "Default, Everybody, Authenticated and Anonymous are reserved, in any case"

// Variable stands for the captured user name in a mapping that is a pattern.
const Variable = "{user}"

// reserved are the anonymous user and the built-in groups.
var reserved = [...]string{"Default", "Everybody", "Authenticated", "Anonymous"}

// IsName reports whether text matches [A-Za-z0-9][A-Za-z0-9._@-]{0,127}, the grammar of
// users and of groups. A name holds no colon, so a user is never read as a group.
func IsName[T string | []byte](text T) bool {
	if len(text) == 0 || len(text) > MaxLen {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '@' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// Canonical returns the reserved name that text spells in any case, or "".
func Canonical[T string | []byte](text T) string {
	for _, r := range reserved {
		if len(r) == len(text) && strings.EqualFold(r, string(text)) {
			return r
		}
	}
	return ""
}

// IsUser reports whether a mapping or a rule may name the user text: a name that is not
// reserved. Case is ignored for the reserved names, because a reader of a log would take
// a user "default" for Default.
func IsUser[T string | []byte](text T) bool {
	return IsName(text) && Canonical(text) == ""
}
