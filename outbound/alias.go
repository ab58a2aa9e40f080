package outbound

const maxAlias = 128 // bytes

// ValidAlias reports whether a text can be an alias: [A-Za-z0-9][A-Za-z0-9._@-]{0,127}.
func ValidAlias(text string) bool {
	if text == "" || len(text) > maxAlias {
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
