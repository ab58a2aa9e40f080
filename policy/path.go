package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// starPath is the target of OPTIONS *. As a rule's path it matches only that.
const starPath = "*"

// checkPath returns what is wrong with a rule's path and how to mend it, or "".
func checkPath(path string) (what, hint string) {
	switch {
	case path == starPath:
		return "", ""
	case path == "":
		return "the path is empty", "write /* for every path"
	case !utf8.ValidString(path):
		return "the path " + escape.Quote(path, escape.Short) + " is not valid UTF-8", ""
	case hasControl(path):
		return "the path " + escape.Quote(path, escape.Short) + " holds a control character", ""
	case path[0] != '/':
		return "the path " + escape.Quote(path, escape.Short) + " does not begin with /", "write " + escape.Quote("/"+path, escape.Short)
	}
	for _, c := range []struct{ chars, hint string }{
		{`\`, "segments are separated by /"},
		{"?", "the query never counts; write the path alone"},
		{"#", "a fragment is never sent; a comment stands on a line of its own"},
		{`,"`, "such a character cannot be written in policy.csv; {name} matches a segment that holds it"},
	} {
		if i := strings.IndexAny(path, c.chars); i >= 0 {
			return "the path " + escape.Quote(path, escape.Short) + " holds " + escape.Quote(path[i:i+1], escape.Short), c.hint
		}
	}
	if strings.Trim(path, " ") != path {
		return "the path " + escape.Quote(path, escape.Short) + " ends with a blank", "blanks around a field are not part of it"
	}
	if i := percentEscape(path); i >= 0 {
		return "the path " + escape.Quote(path, escape.Short) + " holds the escape " + path[i:i+3],
			"paths are compared decoded: write the character itself; an encoded slash is never served"
	}
	rest, n := path[1:], 0
	for {
		segment, after, more := strings.Cut(rest, "/")
		if what, hint := checkSegment(segment, more); what != "" {
			return "the path " + escape.Quote(path, escape.Short) + " " + what, hint
		}
		if n++; n > maxSegments {
			return "the path " + escape.Quote(path, escape.Short) + " has more than 32 segments", "end it earlier, with /*"
		}
		if !more {
			return "", ""
		}
		rest = after
	}
}

func checkSegment(segment string, more bool) (what, hint string) {
	switch {
	case segment == "" && more:
		return "holds //", "such a path is never served; write one /"
	case segment == "." || segment == "..":
		return "holds the segment " + segment, "such a path is never served; write where it leads"
	case segment == "*" && !more:
		return "", ""
	case strings.Contains(segment, "*"):
		return "holds a * that is not its last segment", "a final /* covers everything below; {name} is one segment"
	case strings.HasPrefix(segment, ":"):
		return "holds the segment " + escape.Quote(segment, escape.Short), "write {" + strings.TrimPrefix(segment, ":") + "} for one segment"
	case strings.ContainsAny(segment, "{}") && !isParam(segment):
		return "holds the segment " + escape.Quote(segment, escape.Short), "one segment is {name}: braces around the whole segment, and a name of letters, digits, _ and -"
	}
	return "", ""
}

// isParam reports whether a rule's segment is {name}.
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

// percentEscape returns where s holds % and two hexadecimal digits, or -1.
func percentEscape(s string) int {
	hex := func(b byte) bool { return '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'f' }
	for i := range len(s) {
		if s[i] == '%' && i+2 < len(s) && hex(s[i+1]) && hex(s[i+2]) {
			return i
		}
	}
	return -1
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// matchPath reports whether a rule's path, which has been checked, covers a
// request's. It is what Casbin asks, and what Explain asks; Decide has its own
// way to the same answer.
func matchPath(rule, path string) bool {
	if rule == starPath || path == starPath {
		return rule == path
	}
	if !clean(path) {
		return false
	}
	rule, path = rule[1:], path[1:]
	for {
		want, ruleRest, ruleMore := strings.Cut(rule, "/")
		got, pathRest, pathMore := strings.Cut(path, "/")
		switch {
		case want == "*":
			return true
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

// clean reports whether a request's path can be read in one way only. The guard
// has refused others long before; here they match no rule, so that an engine
// that is asked without a guard fails closed.
func clean(path string) bool {
	if path == "" || path[0] != '/' || !utf8.ValidString(path) {
		return false
	}
	for i := range len(path) {
		if b := path[i]; b < 0x20 || b == 0x7f || b == '\\' {
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
