// Package escape makes foreign text fit for messages, logs and terminals. Text that a
// client, a certificate or a file has brought may hold control characters, letters that
// look like others, and any length.
package escape

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Short is a limit for values in messages, in bytes.
const Short = 120

// Quote returns at most limit bytes of s in double quotes, with everything beyond
// printable ASCII escaped, so that look-alikes can be distinguished. An ellipsis stands
// for what is cut off.
func Quote(s string, limit int) string {
	if len(s) > limit {
		return strconv.QuoteToASCII(s[:limit]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// Printable returns s with everything that cannot be seen, or that moves other
// characters about, escaped. It cuts the result off at limit bytes; 0 is no limit. A
// text that needs neither is returned as it is.
func Printable(s string, limit int) string {
	if (limit == 0 || len(s) <= limit) && (isPlain(s) || !strings.ContainsFunc(s, hidden)) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		c, size := utf8.DecodeRuneInString(s)
		piece := s[:size]
		if hidden(c) {
			quoted := strconv.QuoteToASCII(piece)
			piece = quoted[1 : len(quoted)-1]
		}
		if limit > 0 && b.Len()+len(piece) > limit {
			b.WriteString("…")
			break
		}
		b.WriteString(piece)
		s = s[size:]
	}
	return b.String()
}

// isPlain reports whether s is printable ASCII, as nearly all texts are.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// hidden is true for U+FFFD too: it stands for bytes that are not UTF-8.
func hidden(c rune) bool { return c == utf8.RuneError || !unicode.IsPrint(c) }
