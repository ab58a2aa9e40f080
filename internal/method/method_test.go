package method_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/method"
)

// Valid agrees with the grammar in its comment.
func FuzzValid(f *testing.F) {
	for _, text := range []string{"", "GET", "M-SEARCH", "get", "1GET", "G_1", "GET ", "GÉT", "A" + strings.Repeat("B", 31), "A" + strings.Repeat("B", 32)} {
		f.Add(text)
	}
	grammar := regexp.MustCompile(`\A[A-Z][A-Z0-9_-]{0,31}\z`)
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := method.Valid(text), grammar.MatchString(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	})
}
