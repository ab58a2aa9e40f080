package escape

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MisleadingHint is the hint of an error about a misleading character.
const MisleadingHint = "retype the line in plain UTF-8: people and programs read this character in different ways"

// Misleading finds the first character of a file that makes people read another text
// than programs: a line break that only some programs take for one, so that a line hides
// behind a comment; a control character; a character that turns the direction of writing
// round; bytes that are not UTF-8. It names the character, and where it starts; the name is
// empty where there is none. Tabs, LF and CR LF are fine.
func Misleading(text []byte) (at int, name string) {
	for at < len(text) {
		c := text[at]
		if c >= ' ' && c < 0x7f || c == '\n' || c == '\t' || c == '\r' && bytes.HasPrefix(text[at+1:], []byte("\n")) {
			at++
			continue
		}
		r, size := utf8.DecodeRune(text[at:])
		switch {
		case r == utf8.RuneError && size <= 1:
			return at, fmt.Sprintf("the byte 0x%02X, which is not UTF-8", c)
		case unicode.IsControl(r):
			return at, fmt.Sprintf("the control character U+%04X", r)
		case unicode.In(r, unicode.Zl, unicode.Zp), unicode.Is(turns, r):
			return at, fmt.Sprintf("the character U+%04X", r)
		}
		at += size
	}
	return 0, ""
}

// turns are the embeddings, overrides and isolates of Unicode's bidirectional algorithm.
var turns = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x202a, Hi: 0x202e, Stride: 1}, {Lo: 0x2066, Hi: 0x2069, Stride: 1}}}
