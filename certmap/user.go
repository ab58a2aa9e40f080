package certmap

import (
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

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
	case user == UserVariable || username.IsUser(user):
		return "", ""
	case username.Canonical(user) != "":
		return "the user " + escape.Quote(user, escape.Short) + " is reserved", username.ReservedHint
	}
	return "the user " + escape.Quote(user, escape.Short) + " is no user name", username.Hint
}
