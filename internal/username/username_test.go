package username_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

func TestUserNamesAndReservedOnes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "Z", "0", "alice", "orders-api", "a.b_c@d-e", "7.", strings.Repeat("a", 128), "Defaults", "everybody2", "Anonymous."} {
		if !username.IsName(name) || !username.IsUser(name) || !username.IsUser([]byte(name)) {
			t.Errorf("%q is not accepted", name)
		}
	}
	for _, name := range []string{
		"", ".a", "_a", "@a", "-a", " a", "a ", "a b", "a:b", "user:a", "a/b", "a\\b", "a,b", "a=b", "a\x00", "a\n", "{user}", "*", "ä", "a\u212a", "\u017fa", "\uff41", "a\u200b", "\xff",
		strings.Repeat("a", 129),
	} {
		if username.IsName(name) || username.IsUser(name) || username.IsUser([]byte(name)) {
			t.Errorf("%q is accepted", name)
		}
	}
	// The Kelvin sign and the long s fold to letters; they are not in the grammar.
	for _, reserved := range []string{"Default", "Everybody", "Authenticated", "Anonymous"} {
		for _, name := range []string{reserved, strings.ToLower(reserved), strings.ToUpper(reserved), strings.ToLower(reserved[:2]) + strings.ToUpper(reserved[2:])} {
			if !username.IsName(name) || username.IsUser(name) || username.IsUser([]byte(name)) || username.Canonical(name) != reserved {
				t.Errorf("%q is not reserved", name)
			}
		}
	}
}

// Package identity exports the reserved names of this one.
func TestReservedNamesAreThoseOfPackageIdentity(t *testing.T) {
	t.Parallel()
	for _, name := range []string{identity.Default, identity.Everybody, identity.Authenticated, identity.Anonymous} {
		if username.Canonical(name) != name {
			t.Errorf("%q is not reserved", name)
		}
	}
}

func FuzzIsUser(f *testing.F) {
	for _, s := range []string{"alice", "Default", "user:a", "", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if username.IsUser(s) != username.IsUser([]byte(s)) || username.IsUser(s) && strings.ContainsAny(s, ":,{}*/ \n") {
			t.Errorf("got %q", s)
		}
	})
}
