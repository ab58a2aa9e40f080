// Package rulepath has the grammar of the paths in rules and quotas: it checks them, and matches
// them with the paths of requests.
package rulepath

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

const (
	// Star is the target of OPTIONS *. As a rule's path it matches nothing else.
	Star = "*"
	// Own is the segment of a rule that matches the caller's own user name.
	Own = username.Variable
	// MaxSegments bounds the segments of a rule's path, and so the cost of one decision.
	MaxSegments = 32
)

// Check returns the error in a rule's path and a hint, or "".
func Check(path string) (wrong, hint string) {
	if path == Star {
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
		if n++; n > MaxSegments {
			return "has more than " + strconv.Itoa(MaxSegments) + " segments", "end it earlier, with /*"
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
	case strings.ContainsAny(segment, "{}") && !IsParam(segment):
		return "contains the segment " + escape.Quote(segment, escape.Short), "one segment is {name}: braces around the whole segment, and a name of letters, digits, _ and -; {user} is the caller's own user name"
	}
	return "", ""
}

// IsParam reports whether a rule's segment is {name}, {user} included.
func IsParam(segment string) bool {
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

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }
