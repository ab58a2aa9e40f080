package hostname_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/hostname"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ host, want string }{
		{"api.acme.example", "api.acme.example"}, {"API.Acme.Example", "api.acme.example"}, {"api.acme.example.", "api.acme.example"}, {"api.acme.example:443", "api.acme.example"},
		{"api.acme.example.:443", "api.acme.example"}, {"api:", "api"}, {"api..", "api."},
		{"127.0.0.1", "127.0.0.1"}, {"127.0.0.1:8443", "127.0.0.1"}, {"[::1]", "::1"}, {"[::1]:8443", "::1"}, {"::1", "::1"}, {"[2001:DB8:0::1]:1", "2001:db8::1"}, {"[::ffff:127.0.0.1]", "127.0.0.1"},
		{"", ""}, {"127.0.0.1.", "127.0.0.1"}, {"::1.2.32.34.", "::102:2022"}, {"[::1].", "[::1]."}, {"[::1", "[::1"}, {"[::1]x", "[::1]x"}, {"a:b", "a:b"}, {"a:1:2", "a:1:2"},
		{"\u212aelvin", "\u212aelvin"}, {"\u017fite", "\u017fite"}, {"ÄPI", "Äpi"}, // folded, they would be other ASCII names
	} {
		if got := hostname.Canonical(row.host); got != row.want {
			t.Errorf("%q: %q, want %q", row.host, got, row.want)
		}
	}
}

func TestCanonicalAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { hostname.Canonical("api.acme.example:443") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestValid(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"localhost", "api.acme.example", "a_b.example", "xn--bcher-kva.example", "127.0.0.1", "::1", strings.Repeat("a", 63) + ".example"} {
		if !hostname.Valid(host) {
			t.Errorf("%q is not accepted", host)
		}
	}
	for _, host := range []string{
		"", ".", "a..b", ".a", "a.", "-a", "1.2.3", "a.7", "a.b_c", "a-", "*.example", "*", "a/b", "a b", "a:443", "[::1]", "fe80::1%eth0", "bücher.example", "\u212a.example", "a\x00", strings.Repeat("a", 64),
		strings.Repeat("a.", 127) + "a",
	} {
		if hostname.Valid(host) {
			t.Errorf("%q is accepted", host)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"api.acme.example:443", "[::1]:1", "a..", "::ffff:1.2.3.4", "::1.2.32.34."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := hostname.Canonical(s)
		if hostname.Valid(got) && hostname.Canonical(got) != got {
			t.Errorf("%q: %q, and then %q", s, got, hostname.Canonical(got))
		}
	})
}
