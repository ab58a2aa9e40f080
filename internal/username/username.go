// Package username has the grammar of user names, and the reserved ones. Everything
// that reads, maps, captures or decides about a user asks here.
package username

import "strings"

// MaxLen is the longest name, in bytes.
const MaxLen = 128

// Hint says in an error what a name may be.
const Hint = "a letter or digit, then up to 127 of A-Z a-z 0-9 . _ @ -"

// ReservedHint says in an error which names are reserved.
const ReservedHint = "Default, Everybody, Authenticated and Anonymous are reserved, in any case"

// reserved are the anonymous user and the built-in groups.
var reserved = [...]string{"Default", "Everybody", "Authenticated", "Anonymous"}

// IsName reports whether text is [A-Za-z0-9][A-Za-z0-9._@-]{0,127}: the grammar of users
// and of groups. A name holds no colon, so that a user is never read as a group.
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

// Canonical returns the reserved name that text is in any case, or "".
func Canonical[T string | []byte](text T) string {
	for _, r := range reserved {
		if len(r) == len(text) && strings.EqualFold(r, string(text)) {
			return r
		}
	}
	return ""
}

// IsUser reports whether text may be the name of a user that somebody maps to or names:
// IsName, and not reserved. Case does not count: a user "default" would be taken for
// Default by whoever reads a log.
func IsUser[T string | []byte](text T) bool {
	return IsName(text) && Canonical(text) == ""
}
