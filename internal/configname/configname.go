// Package configname has the grammar of the names that a configuration gives to ports, quotas and
// services.
package configname

// Hint describes a valid name in an error.
const Hint = "begin with a letter or digit; letters, digits and . _ - may follow, at most 64 characters"

// Valid reports whether text is [A-Za-z0-9][A-Za-z0-9._-]{0,63}, the name of a port or a quota.
func Valid(text string) bool { return valid(text, 64) }

// ValidService reports whether text is [A-Za-z0-9][A-Za-z0-9._-]{0,127}, the name of a service.
func ValidService(text string) bool { return valid(text, 128) }

// valid is no regular expression: to compile one for so many repetitions takes longer than a command
// may take to start.
func valid(text string, most int) bool {
	if text == "" || len(text) > most {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}
