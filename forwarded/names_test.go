package forwarded_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
)

// Each name is at a limit, or one beyond it.
func TestNamesAtTheirLimits(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 63)
	long := strings.Join([]string{label, label, label, strings.Repeat("a", 61)}, ".") // 253 bytes
	for _, row := range []struct {
		check func(string) bool
		text  string
		want  bool
	}{
		{forwarded.IsDNS, label + ".example", true},
		{forwarded.IsDNS, label + "a.example", false},
		{forwarded.IsDNS, long, true},
		{forwarded.IsDNS, long + "a", false},
		{forwarded.IsDNS, "a.9a", true},
		{forwarded.IsDNS, "10.0.0.9", false},
		{forwarded.IsDNS, "a.", false},
		{forwarded.IsDNS, "", false},
		{forwarded.IsHeaderValue, "a b", true}, // the blank is the first printable byte
		{forwarded.IsHeaderValue, "a\x1fb", false},
		{forwarded.IsHeaderValue, "a~", true}, // the tilde is the last one
		{forwarded.IsHeaderValue, "a\x7f", false},
		{forwarded.IsHeaderValue, " a", false},
		{forwarded.IsHeaderValue, strings.Repeat("a", 256), true},
		{forwarded.IsHeaderValue, strings.Repeat("a", 257), false},
		{forwarded.IsURI, "spiffe://acme/gateway", true},
		{forwarded.IsURI, "spiffe://", false},
		{forwarded.IsURI, "//acme", false},
		{forwarded.IsURI, "spiffe://acme/*", false},
	} {
		if got := row.check(row.text); got != row.want {
			t.Errorf("%q: %v, want %v", row.text, got, row.want)
		}
	}
}
