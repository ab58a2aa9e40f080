package testkit_test

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

func TestEveryErrorNeedsAHint(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"error: a\nhint: b\n":                    true,
		"error: a\nhint: b\nerror: c\nhint: d\n": true,
		"":                                       false,
		"error: a\n":                             false,
		"hint: b\n":                              false,
		"error: a\nerror: b\nhint: c\n":          false,
		"error: a\nhint: b\nhint: c\n":           false,
		"error: a\nhint: b\npanic\n":             false,
	} {
		if err := testkit.CheckHints(text); (err == nil) != want {
			t.Errorf("%q: got %v, want no error: %t", text, err, want)
		}
	}
}
