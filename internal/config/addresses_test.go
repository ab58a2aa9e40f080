package config

import (
	"net/netip"
	"testing"
)

// Each range that is refused has a hint, and the range in the hint is one.
func TestRefusedRangeHasAHint(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ text, what, hint string }{
		{"10.0.0.0/8", "", ""},
		{"2001:db8::/32", "", ""},
		{"0.0.0.0/0", "", ""},
		{"::/0", "", ""},
		{"10.0.0.1", "is an address, and not a range", "for this address alone write 10.0.0.1/32"},
		{"::1", "is an address, and not a range", "for this address alone write ::1/128"},
		{"::ffff:10.0.0.1", "is an address, and not a range", "for this address alone write 10.0.0.1/32"},
		{"fe80::1%eth0", "has a zone", "leave it out: zones are not compared"},
		{"fe80::%eth0/64", "has a zone", "leave it out: zones are not compared"},
		{"10.1.2.3/8", "has bits beyond its length", "write 10.0.0.0/8, or 10.1.2.3/32 for one address"},
		{"::ffff:10.1.2.3/104", "is IPv4 written as IPv6", "write 10.0.0.0/8"},
		{"::ffff:0.0.0.0/90", "is IPv4 written as IPv6", "write 0.0.0.0/0 for all IPv4 addresses"},
		{"10.0.0.0/255.255.0.0", "is not in CIDR notation", "write 10.0.0.0/16"},
		{"10.0.0.0/255.0.255.0", "is not in CIDR notation", rangeHint},
		{"10.0.0.0/33", "is not in CIDR notation", "the length is 0 to 32: " + rangeHint},
		{"::/129", "is not in CIDR notation", "the length is 0 to 128: " + rangeHint},
		{"10.0.0.0/08", "is not in CIDR notation", "the length is 0 to 32: " + rangeHint},
		{"10.0.0.0/", "is not in CIDR notation", "the length is 0 to 32: " + rangeHint},
		{"10.0.0/8", "is not in CIDR notation", rangeHint},
		{"10.0.0.0-10.0.0.9", "is not in CIDR notation", rangeHint},
		{"localhost", "is not a range of addresses", "names are not looked up, because a name that cannot be resolved would open the port: " + rangeHint},
		{"gateway.acme.example/8", "is not a range of addresses", "names are not looked up, because a name that cannot be resolved would open the port: " + rangeHint},
	} {
		if _, what, hint := parseRange(row.text); what != row.what || hint != row.hint {
			t.Errorf("%q: got %q, %q; want %v", row.text, what, hint, row.what)
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8", "::1", "fe80::%x/64", "10.1.2.3/8", "1.2.3.4/255.0.0.0", "a.example"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, what, hint := parseRange(text)
		if (what == "") != (hint == "") {
			t.Errorf("%q: got %q, %q", text, what, hint)
		}
		if what != "" {
			return
		}
		if again, err := netip.ParsePrefix(text); err != nil || again != r || r != r.Masked() || r.Addr().Is4In6() || r.Addr().Zone() != "" {
			t.Errorf("%q: got %v", text, r)
		}
	})
}
