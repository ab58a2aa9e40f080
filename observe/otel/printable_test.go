package otel

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Covers L7.
func TestPrintableReplacesAndTruncates(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "CN=alice, O=Acme": "CN=alice, O=Acme", "CN=Müller": "CN=Müller", "a\nb": "a�b", "a\x00\u202e\u200b": "a���", "T61 \xe4\xff": "T61 ��",
		strings.Repeat("x", 256): strings.Repeat("x", 256), strings.Repeat("x", 257): strings.Repeat("x", 256) + "…", strings.Repeat("ü", 200): strings.Repeat("ü", 128) + "…",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("CN=alice\n\xff")
	f.Fuzz(func(t *testing.T, in string) {
		got := printable(in)
		if !utf8.ValidString(got) || len(got) > maxAttributeBytes+len("…") || printable(got) != got && len(got) <= maxAttributeBytes {
			t.Errorf("%q becomes %q", in, got)
		}
	})
}
