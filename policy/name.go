package policy

import "strings"

const (
	userPrefix  = "user:"
	groupPrefix = "group:"
	maxName     = 128
)

// validName reports whether s is a NAME of the grammar. A name holds no colon, so
// that a user can never be read as a group.
func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case i > 0 && (b == '.' || b == '_' || b == '@' || b == '-'):
		default:
			return false
		}
	}
	return true
}

func reservedGroup(name string) bool {
	return name == Everybody || name == Authenticated || name == Anonymous
}

// validUser reports whether s can be the user of a request. The names of the
// reserved groups are nobody's.
func validUser(s string) bool { return validName(s) && !reservedGroup(s) }

// checkSubject returns what is wrong with a subject and how to mend it, or "".
func checkSubject(s string) (what, hint string) {
	const form = "a subject is user:NAME or group:NAME"
	if name, ok := strings.CutPrefix(s, userPrefix); ok {
		switch {
		case !validName(name):
			return show(s) + " does not hold a valid name", nameHint
		case reservedGroup(name):
			return show(s) + " is reserved", name + " is a group: write group:" + name
		}
		return "", ""
	}
	if name, ok := strings.CutPrefix(s, groupPrefix); ok {
		switch {
		case !validName(name):
			return show(s) + " does not hold a valid name", nameHint
		case name == Default:
			return show(s) + " is reserved", "Default is a user: write user:Default, or group:Anonymous"
		}
		return "", ""
	}
	switch {
	case s == "":
		return "the subject is empty", form
	case s == "*":
		return `the subject "*" means nothing`, "write group:Everybody, or group:Authenticated for users with a name"
	case validName(s):
		return show(s) + " does not say whether it is a user or a group", "write user:" + s + " or group:" + s
	}
	return show(s) + " is not a subject", form
}

const nameHint = "names begin with a letter or digit and hold at most 128 letters, digits and . _ @ -"
