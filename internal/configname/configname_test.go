package configname_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/configname"
)

// Valid and ValidService agree with the grammars in their comments.
func FuzzValid(f *testing.F) {
	for _, text := range []string{"", "internal", "A", "7", "a.b_c-d", ".a", "-a", "_a", "a b", "a\n", "é", "aé", "a/b"} {
		f.Add(text)
	}
	for _, n := range []int{63, 64, 127, 128} {
		f.Add("a" + strings.Repeat("b", n))
	}
	port, service := regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z`), regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\z`)
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := configname.Valid(text), port.MatchString(text); got != want {
			t.Errorf("Valid(%q): %t, want %t", text, got, want)
		}
		if got, want := configname.ValidService(text), service.MatchString(text); got != want {
			t.Errorf("ValidService(%q): %t, want %t", text, got, want)
		}
	})
}
