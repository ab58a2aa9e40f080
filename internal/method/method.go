// Package method has the grammar of the methods that a configuration may add to the usual
// ones.
package method

// MaxLen is the longest method, in bytes.
const MaxLen = 32

// Hint describes a valid method in an error.
const Hint = "an upper-case token such as PROPFIND"

// Valid reports whether text is [A-Z][A-Z0-9_-]{0,31}: an upper-case token of RFC 9110
// section 5.6.2 that can stand in a rule.
func Valid(text string) bool {
	if text == "" || len(text) > MaxLen {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case 'A' <= c && c <= 'Z', i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return true
}
