package certmap_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

type sanRow struct {
	option testpki.Option
	want   string
}

func sanRows(t *testing.T, w *world, m *certmap.Table, rows map[string]sanRow) {
	t.Helper()
	for name, row := range rows {
		if got := outcome(t, m, w.leaf(t, row.option), "p"); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

// Covers C4.
func TestAlternativeNamesAreComparedByTheirType(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t,
		certmap.Mapping{ID: "d", User: "admin", DNS: "admin", Issuer: w.key},
		certmap.Mapping{ID: "u", User: "orders", URI: "urn:acme:orders", Issuer: w.key})
	sanRows(t, w, m, map[string]sanRow{
		"plain":         {dns("admin"), "admin"},
		"inside a URI":  {uris("urn:x, DNS:admin"), "[unmapped]"},
		"inside a name": {emails("a@b, DNS:admin"), "[unmapped]"},
		"URI as email":  {emails("urn:acme:orders"), "[unmapped]"},
	})
}

// Covers C10.
func TestOnlyWholeValuesMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t,
		certmap.Mapping{ID: "e", User: "alice", Email: "alice@corp.example", Issuer: w.key},
		certmap.Mapping{ID: "d", User: "host", DNS: "corp.example", Issuer: w.key},
		certmap.Mapping{ID: "u", User: "orders", URI: "spiffe://acme/orders", Issuer: w.key},
		certmap.Mapping{ID: "s", User: "bob", Subject: "CN=bob", Issuer: w.key})
	sanRows(t, w, m, map[string]sanRow{
		"email":         {emails("alice@corp.example"), "alice"},
		"email, longer": {emails("alice@corp.example.evil"), "[unmapped]"},
		"email, front":  {emails("malice@corp.example"), "[unmapped]"},
		"email, domain": {emails("alice@x.corp.example"), "[unmapped]"},
		"dns, below":    {dns("a.corp.example"), "[unmapped]"},
		"dns, longer":   {dns("corp.example.evil"), "[unmapped]"},
		"dns, parent":   {dns("example"), "[unmapped]"},
		"uri, below":    {uris("spiffe://acme/orders/x"), "[unmapped]"},
		"uri, above":    {uris("spiffe://acme"), "[unmapped]"},
		"uri, longer":   {uris("spiffe://acme/orders2"), "[unmapped]"},
		"subject":       {subject("CN=bob.evil"), "[unmapped]"},
	})
}

// Covers C11.
func TestAddressIsExactExceptTheCaseOfItsDomain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t, certmap.Mapping{ID: "e", User: "alice", Email: "Alice@Corp.Example", Issuer: w.key})
	sanRows(t, w, m, map[string]sanRow{
		"same":           {emails("Alice@Corp.Example"), "alice"},
		"domain in case": {emails("Alice@cORP.eXAMPLE"), "alice"},
		"local in case":  {emails("alice@corp.example"), "[unmapped]"},
		"another @":      {emails("Alice@Corp.Example@x"), "[unmapped]"},
		"trailing dot":   {emails("Alice@corp.example."), "[unmapped]"},
	})
	for _, address := range []string{"a", "@b", "a@", "a@b@c", `"admin@x"@y`, `"a"@b`, "a b@c", "a@b c", "a@*.b", "ä@b", "a@bä", "a@b.", "a,b@c", "<a@b>", "a\x00@b"} {
		_, err := certmap.New(certmap.Mapping{ID: "e", User: "alice", Email: address, Issuer: w.key})
		wantError(t, err, "email: ", address)
	}
}

// Covers C12.
func TestSeveralAlternativeNamesOfTwoUsersAreAmbiguous(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t,
		certmap.Mapping{ID: "d1", User: "alice", DNS: "a.example", Issuer: w.key},
		certmap.Mapping{ID: "d2", User: "alice", DNS: "b.example", Issuer: w.key},
		certmap.Mapping{ID: "d3", User: "mallory", DNS: "c.example", Issuer: w.key},
		certmap.Mapping{ID: "e1", User: "alice", Email: "a@x.example", Issuer: w.key},
		certmap.Mapping{ID: "e2", User: "mallory", Email: "m@x.example", Issuer: w.key},
		certmap.Mapping{ID: "u", User: "orders", URI: "spiffe://acme/orders", Issuer: w.key},
		certmap.Mapping{ID: "p", User: "{user}", URI: "spiffe://acme/sa/{user}", Issuer: w.key})
	sanRows(t, w, m, map[string]sanRow{
		"two of one user":        {dns("b.example", "a.example"), "alice"},
		"two users":              {dns("a.example", "c.example"), "[ambiguous]"},
		"one known":              {dns("z.example", "c.example"), "mallory"},
		"two users by address":   {emails("a@x.example", "m@x.example"), "[ambiguous]"},
		"dns before email":       {san(attr{tag: 0x81, value: "m@x.example"}, attr{tag: 0x82, value: "a.example"}), "alice"},
		"uri before dns":         {san(attr{tag: 0x82, value: "c.example"}, attr{tag: 0x86, value: "spiffe://acme/orders"}), "orders"},
		"two URIs":               {uris("spiffe://acme/orders", "spiffe://acme/other"), "[unmapped]"},
		"two URIs, reversed":     {uris("spiffe://acme/other", "spiffe://acme/orders"), "[unmapped]"},
		"the same URI twice":     {uris("spiffe://acme/orders", "spiffe://acme/orders"), "[unmapped]"},
		"two URIs and a pattern": {uris("spiffe://acme/sa/bob", "urn:x"), "[unmapped]"},
		"two URIs, then dns":     {san(attr{tag: 0x86, value: "urn:a"}, attr{tag: 0x86, value: "urn:b"}, attr{tag: 0x82, value: "c.example"}), "mallory"},
	})
}

// Covers C13.
func TestWildcardInACertificateMatchesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t, certmap.Mapping{ID: "d", User: "alice", DNS: "host.corp", Issuer: w.key})
	sanRows(t, w, m, map[string]sanRow{
		"plain":    {dns("HOST.corp"), "alice"},
		"wildcard": {dns("*.corp"), "[unmapped]"},
		"all":      {dns("*"), "[unmapped]"},
	})
	for _, name := range []string{"*.corp", "*", "h*.corp", "host.corp.", ".corp", "a..b", "a b", "höst.corp", "host\u212a", strings.Repeat("a", 64) + ".b", "a/b", "a:1"} {
		_, err := certmap.New(certmap.Mapping{ID: "d", User: "alice", DNS: name, Issuer: w.key})
		wantError(t, err, "dns: ", name)
	}
}

// Covers C14.
func TestURIWithTwoReadingsIsRejected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, uri := range []string{
		"spiffe://acme/orders", "spiffe://acme", "spiffe://acme.example/ns/a.b/sa/c_d-E", "urn:acme:orders", "https://acme.example:8443/x?y=z", "https://acme.example/a/", "urn:x:a%20b",
	} {
		m := table(t, certmap.Mapping{ID: "u", User: "alice", URI: uri, Issuer: w.key})
		if got := outcome(t, m, w.leaf(t, uris(uri)), "p"); got != "alice" {
			t.Errorf("%s: %s, want alice", uri, got)
		}
	}
	for _, uri := range []string{
		"spiffe://TD/a", "spiffe://td:80/a", "spiffe://u@td/a", "spiffe://td/a?b", "spiffe://td/a#b", "spiffe://td/a/../b", "spiffe://td/./b", "spiffe://td//b", "spiffe://td/",
		"spiffe://td/a/", "spiffe://td/%2e", "spiffe://td/ä", "spiffe:///a", "spiffe:td/a", "SPIFFE://td/a", "Spiffe://td/a", "spiffe://td/a b", "spiffe://td/a@b",
		"acme", "/acme", "://x", ":x", "x:", "1x:y", "x y:z", "https://a/../b", "https://a//b", "https://u@a/b", "https:///b", "https://a/%2e%2e/b", "https://a/%2Fb", "https://a/%41",
		"https://a/%00", "https://a/%5c", "https://a/%", "https://a/%zz", "https://a/b#c", "https://a/\u202eb", "https://a/\u200bb", "https://a/{b}", "https://a/\\b", "https://a/\x00", "https://a/\n",
		"x:" + strings.Repeat("a", 2048),
	} {
		_, err := certmap.New(certmap.Mapping{ID: "u", User: "alice", URI: uri, Issuer: w.key})
		wantError(t, err, "uri: ", uri)
	}
}

// Covers C14.
func TestURIPatternCapturesOneWholeSegment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t,
		certmap.Mapping{ID: "u", User: "{user}", URI: "spiffe://acme/ns/prod/sa/{user}", Issuer: w.key},
		certmap.Mapping{ID: "w", User: "{user}", URI: "https://acme.example/{user}/cert", Issuer: w.key})
	sanRows(t, w, m, map[string]sanRow{
		"plain":          {uris("spiffe://acme/ns/prod/sa/orders"), "orders"},
		"middle":         {uris("https://acme.example/bob@x/cert"), "bob@x"},
		"dots":           {uris("spiffe://acme/ns/prod/sa/.."), "[unmapped]"},
		"dot":            {uris("spiffe://acme/ns/prod/sa/."), "[unmapped]"},
		"empty":          {uris("spiffe://acme/ns/prod/sa/"), "[unmapped]"},
		"two segments":   {uris("spiffe://acme/ns/prod/sa/a/b"), "[unmapped]"},
		"trailing slash": {uris("spiffe://acme/ns/prod/sa/a/"), "[unmapped]"},
		"escape":         {uris("spiffe://acme/ns/prod/sa/a%41"), "[unmapped]"},
		"escaped slash":  {uris("spiffe://acme/ns/prod/sa/a%2Fb"), "[unmapped]"},
		"query":          {uris("spiffe://acme/ns/prod/sa/a?b"), "[unmapped]"},
		"fragment":       {uris("spiffe://acme/ns/prod/sa/a#b"), "[unmapped]"},
		"not SPIFFE":     {uris("spiffe://acme/ns/prod/sa/a@b"), "[unmapped]"},
		"domain in case": {uris("spiffe://ACME/ns/prod/sa/orders"), "[unmapped]"},
		"scheme in case": {uris("SPIFFE://acme/ns/prod/sa/orders"), "[unmapped]"},
		"port":           {uris("spiffe://acme:1/ns/prod/sa/orders"), "[unmapped]"},
		"user":           {uris("spiffe://x@acme/ns/prod/sa/orders"), "[unmapped]"},
		"around":         {uris("spiffe://acme/ns/x/../prod/sa/orders"), "[unmapped]"},
		"prefix":         {uris("xspiffe://acme/ns/prod/sa/orders"), "[unmapped]"},
		"reserved":       {uris("spiffe://acme/ns/prod/sa/default"), "[unmapped]"},
		"too long":       {uris("spiffe://acme/ns/prod/sa/" + strings.Repeat("a", 129)), "[unmapped]"},
		"variable":       {uris("spiffe://acme/ns/prod/sa/{user}"), "[unmapped]"},
		"many slashes":   {uris("spiffe://acme" + strings.Repeat("/a", 4000)), "[unmapped]"},
	})
	for _, uri := range []string{
		"spiffe://{user}/x", "spiffe://acme/x{user}", "spiffe://acme/{user}x", "spiffe://acme/{user}/{user}", "spiffe://acme/{name}", "urn:acme:{user}",
		"https://a/x?{user}", "https://a/{user}?x", "{user}://a/b", "{user}", "https://a/../{user}", "https://{user}@a/b", "https://a/{user", "https://{user}",
	} {
		_, err := certmap.New(certmap.Mapping{ID: "u", User: "{user}", URI: uri, Issuer: w.key})
		wantError(t, err, "uri: ", uri)
	}
}

// Covers C20.
func TestRareAlternativeNamesAreIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t,
		certmap.Mapping{ID: "e", User: "admin", Email: "admin@acme.example", Issuer: w.key},
		certmap.Mapping{ID: "d", User: "admin", DNS: "admin", Issuer: w.key},
		certmap.Mapping{ID: "s", User: "admin", Subject: "CN=admin", Issuer: w.key})
	upn := string(append([]byte{6, 10, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 20, 2, 3}, der(0xa0, der(0x0c, []byte("admin@acme.example")))...))
	sanRows(t, w, m, map[string]sanRow{
		"otherName UPN": {san(attr{tag: 0xa0, value: upn}), "[unmapped]"},
		"directoryName": {san(attr{tag: 0xa4, value: string(rawSubject(each(cn("admin"))...))}), "[unmapped]"},
		"RID":           {san(attr{tag: 0x88, value: "\x2a\x03"}), "[unmapped]"},
		"IP":            {san(attr{tag: 0x87, value: "\x7f\x00\x00\x01"}), "[unmapped]"},
	})
}
