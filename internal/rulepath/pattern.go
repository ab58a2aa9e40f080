package rulepath

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// Pattern is a path in the grammar of rules. The zero value matches no path. It is
// immutable.
type Pattern struct{ text string }

// Parse reads a path in the form of a rule, such as "/orders/{id}/*". The error is a
// *configerror.Error without a position.
func Parse(text string) (Pattern, error) {
	if wrong, hint := Check(text); wrong != "" {
		return Pattern{}, &configerror.Error{What: wrong, Hint: hint}
	}
	return Pattern{text}, nil
}

// Matches reports whether a rule with this path covers the path of a user's request, as the
// guard passes it to a policy.Decider: decoded and unambiguous.
func (p Pattern) Matches(path, user string) bool {
	switch {
	case p.text == "" || path == "":
		return false
	case p.text == Star || path == Star:
		return p.text == path
	}
	return path[0] == '/' && matchSegments(p.text, path, user)
}

// Overlaps reports whether some path of some user's request matches both.
func (p Pattern) Overlaps(q Pattern) bool {
	if p.text == "" || q.text == "" || p.text == Star || q.text == Star {
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
	case IsParam(a):
		return b != "" // {name} never matches an empty segment
	case IsParam(b):
		return a != ""
	}
	return a == b
}
