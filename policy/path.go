package policy

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// starPath is the target of OPTIONS *. As a rule's path it matches nothing else.
const starPath = "*"

// checkPath returns the error in a rule's path and a hint, or "".
func checkPath(path string) (wrong, hint string) {
	if path == starPath {
		return "", ""
	}
	if path == "" {
		return "the path is empty", "write /* for every path"
	}
	if path[0] != '/' || !isSimple(path) {
		wrong, hint = checkPathText(path)
	}
	if wrong == "" {
		wrong, hint = checkSegments(path)
	}
	if wrong == "" {
		return "", ""
	}
	return "the path " + escape.Quote(path, escape.Short) + " " + wrong, hint
}

// isSimple reports whether checkPathText has nothing to reject in the characters of a path.
// Most paths have only these.
func isSimple(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '/' || c == '-' || c == '_' || c == '.' || c == '{' || c == '}' || c == '*' || c == ':':
		default:
			return false
		}
	}
	return true
}

// checkPathText checks the characters of a path, whatever its segments.
func checkPathText(path string) (wrong, hint string) {
	switch {
	case !utf8.ValidString(path):
		return "is not valid UTF-8", ""
	case hasControl(path):
		return "contains a control character", ""
	case path[0] != '/':
		return "does not begin with /", "write " + escape.Quote("/"+path, escape.Short)
	}
	for _, c := range []struct{ chars, hint string }{
		{`\`, "segments are separated by /"},
		{"?", "the query never counts; write the path alone"},
		{"#", "a fragment is never sent; a comment needs a line of its own"},
		{`,"`, "such a character cannot be written in policy.csv; {name} matches a segment that contains it"},
	} {
		if i := strings.IndexAny(path, c.chars); i >= 0 {
			return "contains " + escape.Quote(path[i:i+1], escape.Short), c.hint
		}
	}
	if strings.Trim(path, " ") != path {
		return "ends with a blank", "blanks around a field are not part of it"
	}
	if i := percentEscape(path); i >= 0 {
		return "contains the escape " + path[i:i+3],
			"paths are compared decoded: write the character itself; an encoded slash is never served"
	}
	return "", ""
}

func checkSegments(path string) (wrong, hint string) {
	rest, n := path[1:], 0
	for {
		segment, after, more := strings.Cut(rest, "/")
		if wrong, hint := checkSegment(segment, !more); wrong != "" {
			return wrong, hint
		}
		if n++; n > maxSegments {
			return "has more than " + strconv.Itoa(maxSegments) + " segments", "end it earlier, with /*"
		}
		if !more {
			return "", ""
		}
		rest = after
	}
}

func checkSegment(segment string, last bool) (wrong, hint string) {
	switch {
	case segment == "" && !last:
		return "contains //", "such a path is never served; write one /"
	case segment == "." || segment == "..":
		return "contains the segment " + segment, "such a path is never served; write the path that it leads to"
	case segment == "*" && last:
		return "", ""
	case strings.Contains(segment, "*"):
		return "contains a * that is not its last segment", "a final /* covers everything below; {name} is one segment"
	case segment == ":user":
		return "contains the segment " + escape.Quote(segment, escape.Short), "write {user} for the caller's own user name, or another name, such as {id}, for any one segment"
	case strings.HasPrefix(segment, ":"):
		return "contains the segment " + escape.Quote(segment, escape.Short), "write {" + strings.TrimPrefix(segment, ":") + "} for one segment"
	case strings.ContainsAny(segment, "{}") && !isParam(segment):
		return "contains the segment " + escape.Quote(segment, escape.Short), "one segment is {name}: braces around the whole segment, and a name of letters, digits, _ and -; {user} is the caller's own user name"
	}
	return "", ""
}

// isParam reports whether a rule's segment is {name}, {user} included.
func isParam(segment string) bool {
	if len(segment) < 3 || segment[0] != '{' || segment[len(segment)-1] != '}' {
		return false
	}
	for _, b := range []byte(segment[1 : len(segment)-1]) {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '_', b == '-':
		default:
			return false
		}
	}
	return true
}

// percentEscape returns the index of the first % before two hexadecimal digits, or -1.
func percentEscape(s string) int {
	isHex := func(b byte) bool { return '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'f' }
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' && isHex(s[i+1]) && isHex(s[i+2]) {
			return i
		}
	}
	return -1
}

func hasControl(s string) bool { return !isPlain(s) && strings.ContainsFunc(s, unicode.IsControl) }

// matchPath reports whether the path of a checked rule covers the path of a user's
// request. Casbin and Explain call it. Decide comes to the same answer by the tree.
func matchPath(rule, path, user string) bool {
	if rule == starPath || path == starPath {
		return rule == path
	}
	return isUnambiguous(path) && matchSegments(rule, path, user)
}

// matchSegments is matchPath for an unambiguous path.
func matchSegments(rule, path, user string) bool {
	rule, path = rule[1:], path[1:]
	for {
		want, ruleRest, ruleMore := strings.Cut(rule, "/")
		got, pathRest, pathMore := strings.Cut(path, "/")
		switch {
		case want == "*":
			return true
		case want == ownSegment:
			if got == "" || got != ownName(user) {
				return false
			}
		case isParam(want):
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

// isForbidden reports whether a byte of a request's path makes the path ambiguous:
// control characters, and the backslash, which some servers take for a slash.
func isForbidden(b byte) bool { return b < 0x20 || b == 0x7f || b == '\\' }

// isUnambiguous reports whether all servers read a request's path alike. The guard refuses other
// paths before the policy decides. No rule matches them either, so that an Engine without a guard
// in front fails closed.
func isUnambiguous(path string) bool {
	if path == "" || path[0] != '/' || !utf8.ValidString(path) {
		return false
	}
	for i := range len(path) {
		if isForbidden(path[i]) {
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
