package hostname_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/hostname"
)

// The forms are those of Python's idna codec.
func TestNamesInOtherLettersHaveAnASCIIForm(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, want string }{
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"api.münchen.example.", "api.xn--mnchen-3ya.example"},
		{"例え.example", "xn--r8jz45g.example"},
		{"пример.example", "xn--e1afmkfd.example"},
		{"παράδειγμα.example", "xn--hxajbheg2az3al.example"},
		{"한국.example", "xn--3e0b707e.example"},
		{"דוגמה.example", "xn--6dbbec0c.example"},
		{"مثال.example", "xn--mgbh0fb.example"},
		{"été-à-paris.example", "xn--t--paris-0ya1gb.example"},
		{"jalapeño.example", "xn--jalapeo-9za.example"},
		{"ab.øæå.example", "ab.xn--5cab7c.example"},
		{"łódź.pl", "xn--d-uga0v4h.pl"},
		{"中文网络.example", "xn--fiq228c42rmna.example"},
		{"ひらがなカタカナ.example", "xn--v8j0cwa6gzha3lrd.example"},
		{"xn--bcher-kva.bücher.example", "xn--bcher-kva.xn--bcher-kva.example"},
	} {
		got := hostname.ToASCII(row.name)
		if got != row.want || !hostname.Valid(got) || hostname.HintFor(row.name) != "write "+row.want {
			t.Errorf("%s: %q, want %q; hint %q", row.name, got, row.want, hostname.HintFor(row.name))
		}
	}
	for _, name := range []string{
		"", "a.example", "straße.example", "βασιλεύς.example", "bu\u0308cher.example", "\u212aelvin.example", "ﬁ.example", "ａ.example", "b\u200bü.example", "bücher.example:443", "*.bücher.example", "bü cher.example",
		"bücher..example", "bücher/x", "\xff.example", "bücher.1", "ŉ.example", "ı\u0307.example", strings.Repeat("ü", 64) + ".example", strings.Repeat("ü", 60) + "abcdefghij.example",
	} {
		if got := hostname.ToASCII(name); got != "" || hostname.HintFor(name) != hostname.Hint {
			t.Errorf("%q: got %q", name, got)
		}
	}
}

func FuzzToASCII(f *testing.F) {
	for _, s := range []string{"bücher.example", "пример", "例え.a", "a", "ü."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := hostname.ToASCII(s); got != "" && (!hostname.Valid(got) || !strings.Contains(got, "xn--")) {
			t.Errorf("%q: got %q, want a valid name in its xn-- form", s, got)
		}
	})
}
