package audit

import (
	"bytes"
	"strings"
	"testing"
)

// plain finds every byte that JSON escapes, wherever it stands.
// Covers L7.
func TestPlainFindsEveryByte(t *testing.T) {
	t.Parallel()
	for length := range 20 {
		text := strings.Repeat("~", length)
		if !plain(text) || !plain(strings.Repeat(" ", length)) {
			t.Fatalf("%q is plain", text)
		}
		for at := range length {
			for c := range 256 {
				want := c >= ' ' && c < 0x7f && c != '"' && c != '\\'
				for _, around := range []byte{'~', ' ', '!', '#', '[', ']', byte(c)} {
					b := bytes.Repeat([]byte{around}, length)
					b[at] = byte(c)
					if plain(string(b)) != want {
						t.Fatalf("plain(%q) is %v", b, !want)
					}
				}
			}
		}
	}
}

// BenchmarkPlain measures plain with the texts of a line, beside a loop over their bytes.
func BenchmarkPlain(b *testing.B) {
	texts := []string{"192.0.2.1:50123", "alice", "/orders/7", "GET", "internal", "allow", "decision", "policy.csv"}
	bytewise := func(s string) bool {
		for i := range len(s) {
			if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
				return false
			}
		}
		return true
	}
	for name, plain := range map[string]func(string) bool{"words": plain, "bytes": bytewise} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for _, s := range texts {
					if !plain(s) {
						b.Fatal(s)
					}
				}
			}
		})
	}
}
