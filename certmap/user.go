package certmap

import "strings"

const maxUser = 128

// reserved names are the guard's own and can never be mapped to, in any case.
var reserved = [...]string{"Default", "Everybody", "Authenticated", "Anonymous"}

// validUser reports whether text may name a user:
// [A-Za-z0-9][A-Za-z0-9._@-]{0,127}, and not reserved. It holds for what a pattern
// captures as it holds for what an operator writes.
func validUser[T string | []byte](text T) bool {
	if len(text) == 0 || len(text) > maxUser || !alphanumeric(text[0]) {
		return false
	}
	for i := 1; i < len(text); i++ {
		if c := text[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '@' && c != '-' {
			return false
		}
	}
	return !isReserved(text)
}

func isReserved[T string | []byte](text T) bool {
	for _, r := range reserved {
		if len(r) == len(text) && strings.EqualFold(r, string(text)) {
			return true
		}
	}
	return false
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// checkUser says what is wrong with a user that an operator wrote, and a hint.
func checkUser(user string, pattern bool) (what, hint string) {
	switch {
	case user == "":
		return "no user", "user: NAME"
	case user == UserVariable && !pattern:
		return "the user is {user}, and nothing captures it", "put {user} in place of one attribute value of subject or one path segment of uri, or name the user"
	case user == UserVariable || validUser(user):
		return "", ""
	case isReserved(user):
		return "the user " + quote(user) + " is reserved", "Default, Everybody, Authenticated and Anonymous belong to the guard, in any case"
	}
	return "the user " + quote(user) + " is no user name", "a letter or digit, then up to 127 of A-Z a-z 0-9 . _ @ -"
}
