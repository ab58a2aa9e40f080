package alias_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/alias"
)

// Valid accepts exactly the names that Form describes to users.
func TestValidIsForm(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile("^" + alias.Form + "$")
	for _, text := range []string{"", "a", "Z", "0", "a.b", "a_b", "a@b", "a-b", ".a", "-a", "_a", "@a", "a/b", "a b", "../a", "a\x00", "ä", "a\n", strings.Repeat("a", 128), strings.Repeat("a", 129)} {
		if got, want := alias.Valid(text), form.MatchString(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
