package certmap_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Covers C16.
func TestReservedAndMalformedUsersAreRejected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t, certmap.Mapping{ID: "m", User: "{user}", Subject: "CN={user}", Issuer: w.key})
	for name, good := range map[string]bool{
		"alice": true, "a": true, "7": true, "a.b_c@d-E": true, strings.Repeat("a", 128): true, "Defaults": true,
		"Default": false, "default": false, "DEFAULT": false, "Everybody": false, "Authenticated": false, "anonymous": false,
		"role:admin": false, "system:masters": false, "group:x": false, "a b": false, "-a": false, ".": false, "..": false, "@a": false, "_a": false,
		"a/b": false, "a,b": false, "*": false, "ä": false, "a\u0131": false, strings.Repeat("a", 129): false, "anonymou\u017f": false,
	} {
		want := name
		if !good {
			want = "[unmapped]"
		}
		if got := outcome(t, m, w.leaf(t, subject("CN="+strings.ReplaceAll(name, ",", ";"))), "p"); got != want {
			t.Errorf("captured %q: %s", name, got)
		}
		_, err := certmap.New(certmap.Mapping{ID: "m", User: name, Fingerprint: trust.Digest{1}})
		if (err == nil) != good {
			t.Errorf("fixed %q: %v", name, err)
		}
	}
	for _, bad := range []certmap.Mapping{
		{ID: "m", User: "{user}", Fingerprint: trust.Digest{1}},
		{ID: "m", User: "{user}", Subject: "CN=a", Issuer: w.key},
		{ID: "m", User: "x{user}", Subject: "CN={user}", Issuer: w.key},
		{ID: "m", User: "", Fingerprint: trust.Digest{1}},
	} {
		_, err := certmap.New(bad)
		wantError(t, err, "user", bad.User)
	}
}

func TestPatternStandsForOneWholeAttribute(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"CN=x{user}", "CN={user}x", "CN={user},OU={user}", "CN={user},CN=x", "CN={user}+CN=x", "CN={user}{user}", "CN={name}", `CN=\7Buser\7D`, "CN={User}", "CN={}",
	} {
		_, err := certmap.New(certmap.Mapping{ID: "m", User: "{user}", Subject: text, Issuer: trust.Digest{1}})
		wantError(t, err, "subject: ", text)
	}
	w := newWorld(t)
	m := table(t,
		certmap.Mapping{ID: "f", User: "machines", Subject: "CN={user},OU=Machines", Issuer: w.key},
		certmap.Mapping{ID: "u", User: "{user}", URI: "spiffe://acme/{user}", Issuer: w.key},
		certmap.Mapping{ID: "o", User: "{user}", Subject: "CN=x,UID={user}", Issuer: w.key})
	for _, row := range []struct {
		options []testpki.Option
		want    string
	}{
		{[]testpki.Option{subject("CN=m1,OU=Machines")}, "machines"},
		{[]testpki.Option{subject("CN=m 1,OU=Machines")}, "[unmapped]"}, // the captured text must be a user name, even for a fixed user
		{[]testpki.Option{subject("CN=m1,OU=Machines"), uris("spiffe://acme/bob")}, "[ambiguous]"},
		{[]testpki.Option{subject("CN=m1,OU=Machines"), uris("spiffe://acme/machines")}, "machines"},
		{[]testpki.Option{subject("CN=x,UID=carol")}, "carol"},
		{[]testpki.Option{subject("UID=carol,CN=x")}, "[unmapped]"},
	} {
		if got := outcome(t, m, w.leaf(t, row.options...), "p"); got != row.want {
			t.Errorf("%s, want %s", got, row.want)
		}
	}
}
