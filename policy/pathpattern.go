package policy

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// PathPattern is a path in the grammar of rules. The zero value matches no path. It is
// immutable.
type PathPattern struct{ text string }

// ParsePath reads a path as it stands in a rule, such as "/orders/{id}/*". The error is a
// *configerror.Error without a position.
func ParsePath(text string) (PathPattern, error) {
	if wrong, hint := checkPath(text); wrong != "" {
		return PathPattern{}, &configerror.Error{What: wrong, Hint: hint}
	}
	return PathPattern{text}, nil
}

// String returns the path as it was parsed.
func (p PathPattern) String() string { return p.text }

// Matches reports whether a rule with this path covers the path of a user's request, as the
// guard passes it to a Decider: decoded and unambiguous.
func (p PathPattern) Matches(path, user string) bool {
	switch {
	case p.text == "" || path == "":
		return false
	case p.text == starPath || path == starPath:
		return p.text == path
	}
	return path[0] == '/' && matchSegments(p.text, path, user)
}

// Overlaps reports whether some path of some user's request matches both.
func (p PathPattern) Overlaps(q PathPattern) bool {
	if p.text == "" || q.text == "" || p.text == starPath || q.text == starPath {
		return p.text != "" && p.text == q.text
	}
	a, b := strings.Split(p.text[1:], "/"), strings.Split(q.text[1:], "/")
	for i := 0; ; i++ {
		switch {
		case i == len(a) || i == len(b):
			return len(a) == len(b)
		case a[i] == "*" || b[i] == "*":
			return true
		case !segmentsOverlap(a[i], b[i]):
			return false
		}
	}
}

// segmentsOverlap reports whether some segment matches both, none of which is the final *.
func segmentsOverlap(a, b string) bool {
	switch {
	case isParam(a):
		return b != "" // {name} never matches an empty segment
	case isParam(b):
		return a != ""
	}
	return a == b
}
