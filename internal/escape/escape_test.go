package escape_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

func TestQuoteAndPrintable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ in, quoted, printable string }{
		{"", `""`, ""},
		{"alice", `"alice"`, "alice"},
		{"a\"b", `"a\"b"`, `a"b`},
		{"a\nb", `"a\nb"`, `a\nb`},
		{"a\x00b", `"a\x00b"`, `a\x00b`},
		{"\x1b[31m", `"\x1b[31m"`, `\x1b[31m`},
		{"é", `"\u00e9"`, "é"},
		{"\u202eadmin", `"\u202eadmin"`, `\u202eadmi…`},
		{"\u200b", `"\u200b"`, `\u200b`},
		{"\xff", `"\xff"`, `\xff`},
		{"аlice", `"\u0430lice"`, "аlice"}, // a Cyrillic letter
		{"1234567890abcdef", `"1234567890"…`, "1234567890…"},
	} {
		if got := escape.Quote(row.in, 10); got != row.quoted {
			t.Errorf("Quote(%q): %s, want %s", row.in, got, row.quoted)
		}
		if got := escape.Printable(row.in, 10); got != row.printable {
			t.Errorf("Printable(%q): %s, want %s", row.in, got, row.printable)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"alice", "a\x00b", "\u202e", "\xff", strings.Repeat("é", 300)} {
		f.Add(s, 20)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 0 {
			return
		}
		out := escape.Printable(s, limit)
		if !utf8.ValidString(out) || strings.ContainsFunc(out, func(c rune) bool { return !unicode.IsPrint(c) }) || limit > 0 && len(out) > limit+len("…") {
			t.Errorf("%q, %d: got %q", s, limit, out)
		}
		if quoted := escape.Quote(s, max(limit, 1)); strings.ContainsFunc(strings.TrimSuffix(quoted, "…"), func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%q: got %s", s, quoted)
		}
	})
}
