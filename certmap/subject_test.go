package certmap_test

import (
	"crypto/x509"
	"encoding/asn1"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
)

// Covers C2.
func TestSubjectIsComparedAsParsedSetsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t, certmap.Mapping{ID: "m", User: "alice", Subject: "O=a,O=b", Issuer: w.key})
	for _, row := range []struct {
		sets [][]attr
		want string
	}{
		{[][]attr{{o("b")}, {o("a")}}, "alice"},
		{[][]attr{{o("a")}, {o("b")}}, "[unmapped]"},
		{[][]attr{{o("a"), o("b")}}, "[unmapped]"},
		{[][]attr{{o("b")}, {o("b")}, {o("a")}}, "[unmapped]"},
		{[][]attr{{o("b")}, {ou("a")}}, "[unmapped]"},
		{[][]attr{{o("B")}, {o("a")}}, "[unmapped]"},
	} {
		if got := outcome(t, m, w.leaf(t, rdns(row.sets...)), "p"); got != row.want {
			t.Errorf("%v: %s, want %s", row.sets, got, row.want)
		}
	}
}

// Covers C1.
func TestAttributeThatAPatternCapturesOccursOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	staff := table(t, certmap.Mapping{ID: "m", User: "{user}", Subject: "CN={user},OU=Staff,O=Acme", Issuer: w.key})
	alone := table(t, certmap.Mapping{ID: "m", User: "{user}", Subject: "CN={user}", Issuer: w.key})
	set := table(t, certmap.Mapping{ID: "m", User: "{user}", Subject: "CN={user}+UID=7,O=Acme", Issuer: w.key})
	for name, row := range map[string]struct {
		m    *certmap.Table
		sets [][]attr
		want string
	}{
		"once":               {staff, each(o("Acme"), ou("Staff"), cn("alice")), "alice"},
		"twice, last":        {staff, each(o("Acme"), ou("Staff"), cn("alice"), cn("admin")), "[unmapped]"},
		"twice, first":       {staff, each(cn("admin"), o("Acme"), ou("Staff"), cn("alice")), "[unmapped]"},
		"alone, twice":       {alone, each(cn("alice"), cn("admin")), "[unmapped]"},
		"alone, reversed":    {alone, each(cn("admin"), cn("alice")), "[unmapped]"},
		"alone, one RDN":     {alone, [][]attr{{cn("alice"), cn("admin")}}, "[unmapped]"},
		"alone, same twice":  {alone, each(cn("alice"), cn("alice")), "[unmapped]"},
		"alone":              {alone, each(cn("alice")), "alice"},
		"set":                {set, [][]attr{{o("Acme")}, {{oidUID, asn1.TagUTF8String, "7"}, cn("bob")}}, "bob"},
		"set, other partner": {set, [][]attr{{o("Acme")}, {{oidUID, asn1.TagUTF8String, "8"}, cn("bob")}}, "[unmapped]"},
		"set, split":         {set, each(o("Acme"), attr{oidUID, asn1.TagUTF8String, "7"}, cn("bob")), "[unmapped]"},
		"one more":           {staff, each(o("Acme"), ou("Staff"), ou("Staff"), cn("alice")), "[unmapped]"},
		"one less":           {staff, each(o("Acme"), cn("alice")), "[unmapped]"},
		"reverse order":      {staff, each(cn("alice"), ou("Staff"), o("Acme")), "[unmapped]"},
		"other case":         {staff, each(o("Acme"), ou("staff"), cn("alice")), "[unmapped]"},
	} {
		if got := outcome(t, row.m, w.leaf(t, rdns(row.sets...)), "p"); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

// Covers C3.
func TestSeparatorsInsideAValueMakeNoOtherName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t,
		certmap.Mapping{ID: "a", User: "admin", Subject: "CN=admin", Issuer: w.key},
		certmap.Mapping{ID: "b", User: "admin", Subject: "CN=x,O=admins", Issuer: w.key},
		certmap.Mapping{ID: "c", User: "admin", Subject: "CN=x+O=admins", Issuer: w.key},
		certmap.Mapping{ID: "d", User: "{user}", Subject: "CN={user},O=Acme", Issuer: w.key},
		certmap.Mapping{ID: "e", User: "literal", Subject: `CN=x\,O=admins`, Issuer: w.key},
	)
	for _, row := range []struct {
		sets [][]attr
		want string
	}{
		{each(cn("x,O=admins")), "literal"},
		{each(cn("x+O=admins")), "[unmapped]"},
		{each(o("foo,CN=admin")), "[unmapped]"},
		{each(o("CN=admin")), "[unmapped]"},
		{each(cn(`admin\`)), "[unmapped]"},
		{each(cn(`"admin"`)), "[unmapped]"},
		{each(cn(`x\,O=admins`)), "[unmapped]"},
		{each(o("Acme"), cn("admin,O=Acme")), "[unmapped]"},
		{each(o("Acme"), cn("{user}")), "[unmapped]"},
		{each(o("Acme"), cn("a=b")), "[unmapped]"},
		{each(o("Acme"), cn("admin;x")), "[unmapped]"},
	} {
		if got := outcome(t, m, w.leaf(t, rdns(row.sets...)), "p"); got != row.want {
			t.Errorf("%v: %s, want %s", row.sets, got, row.want)
		}
	}
}

// Covers C5, C6, C8.
func TestSubjectWithUnsafeValuesIsUnmapped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t,
		certmap.Mapping{ID: "m", User: "{user}", Subject: "CN={user}", Issuer: w.key},
		certmap.Mapping{ID: "n", User: "{user}", Subject: "CN={user},O=Acme", Issuer: w.key})
	for _, value := range []string{"admin ", "admin\u200b", "admin\n", "\uff41dmin", "\u0430dmin", "a\u017fmin", "ad\u0131n", "admi\u212a"} {
		if got := outcome(t, m, w.leaf(t, rdns(each(cn(value))...)), "p"); got != "[unmapped]" {
			t.Errorf("%q: %s, want [unmapped]", value, got)
		}
		if got := outcome(t, m, w.leaf(t, rdns(each(o("Acme"), ou(value), cn("alice"))...)), "p"); got != "[unmapped]" {
			t.Errorf("OU %q: %s, want [unmapped]", value, got)
		}
	}
	named := func(c *x509.Certificate) { c.DNSNames = []string{"a.example"} } // the strict profile refuses a certificate without any name
	if got := outcome(t, m, w.leaf(t, rdns(), named), "p"); got != "[unmapped]" {
		t.Errorf("no subject: %s", got)
	}
}

// Covers C6.
func TestSubjectIsComparedWithoutFolding(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t,
		certmap.Mapping{ID: "m", User: "k", Subject: "CN=K", Issuer: w.key},
		certmap.Mapping{ID: "n", User: "muller", Subject: "CN=Müller", Issuer: w.key})
	for value, want := range map[string]string{
		"K": "k", "k": "[unmapped]", "\u212a": "[unmapped]", "\uff2b": "[unmapped]",
		"Müller": "muller", "MÜLLER": "[unmapped]", "Mu\u0308ller": "[unmapped]",
	} {
		if got := outcome(t, m, w.leaf(t, rdns(each(cn(value))...)), "p"); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

// Covers C7.
func TestOnlyThreeStringTypesAreMapped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t, certmap.Mapping{ID: "m", User: "alice", Subject: "CN=alice", Issuer: w.key})
	for tag, want := range map[int]string{
		asn1.TagUTF8String: "alice", asn1.TagPrintableString: "alice", asn1.TagIA5String: "alice", asn1.TagT61String: "[unmapped]",
	} {
		if got := outcome(t, m, w.leaf(t, rdns(each(attr{oidCN, tag, "alice"})...)), "p"); got != want {
			t.Errorf("tag %d: %s, want %s", tag, got, want)
		}
	}
}
