// Package alias has the rule for the aliases of outbound credentials.
package alias

const maxBytes = 128

// Form describes a valid alias, for hints.
const Form = "[A-Za-z0-9][A-Za-z0-9._@-]{0,127}"

// Valid reports whether text has the form of an alias. An alias is also a file name and a
// path in a policy, so it contains no separator and does not begin with a dot.
func Valid(text string) bool {
	if text == "" || len(text) > maxBytes {
		return false
	}
	for i := range len(text) {
		switch b := text[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case i > 0 && (b == '.' || b == '_' || b == '@' || b == '-'):
		default:
			return false
		}
	}
	return true
}
