package escape_test

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// Covers L14.
func TestMisleading(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "a\tb\r\nc\n": "", "# Zürich, 東京, שלום\n": "", "\u200e": "",
		"a\rb": "the control character U+000D", "a\r": "the control character U+000D", "\r\r\n": "the control character U+000D",
		"a\u0085b": "the control character U+0085", "a\u2028b": "the character U+2028", "a\u2029b": "the character U+2029",
		"\x00": "the control character U+0000", "\x1b[2K": "the control character U+001B", "\x7f": "the control character U+007F",
		"\u202e": "the character U+202E", "\u2066": "the character U+2066", "\u2069": "the character U+2069",
		"\xff\xfea\x00": "the byte 0xFF, which is not UTF-8", "ab\xe2\x80": "the byte 0xE2, which is not UTF-8", "\ufffd": "",
	} {
		if _, got := escape.Misleading([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if at, _ := escape.Misleading([]byte("ä\n\u2028")); at != 3 {
		t.Errorf("found at %d, want 3", at)
	}
}
