package pgident

import "strings"

// alwaysCaptures reports whether a regular expression has a text for its first capture whenever it
// matches. It may return false where that is so.
func alwaysCaptures(text string) bool {
	depth, captured, firstAt := 0, false, -1
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '[':
			end := strings.IndexByte(text[i+1:], ']')
			if end < 1 || strings.ContainsAny(text[i+1:i+1+end], `[\`) || text[i+1:i+1+end] == "^" {
				return false
			}
			i += 1 + end
		case '|':
			if depth == 0 {
				return false
			}
		case '(':
			if depth++; !captured && firstAt < 0 && !strings.HasPrefix(text[i+1:], "?") {
				if firstAt = depth; depth > 1 {
					return false
				}
			}
		case ')':
			if depth == firstAt && !captured {
				captured = true
				if strings.ContainsAny(text[i+1:min(i+2, len(text))], "?*{") {
					return false
				}
			}
			depth--
		}
	}
	return captured && depth == 0
}
