package escape

import "strings"

// FileName returns a text without the characters that a file system could interpret.
func FileName(text string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-', r == '@':
			return r
		}
		return '_'
	}, text)
	if out = strings.TrimLeft(out, ".-"); out == "" {
		return "entry"
	}
	return out[:min(len(out), 100)]
}
