package certmap_test

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
)

// nameOf reads a subject made of raw RDNs, most significant first.
func nameOf(sets ...[]attr) (certmap.Name, error) {
	return certmap.SubjectOf(&x509.Certificate{RawSubject: rawSubject(sets...)})
}

func TestParseSubject(t *testing.T) {
	for text, want := range map[string]string{ // "" is a mistake
		"CN=alice":                           "CN=alice",
		"cn=alice,ou=Staff,o=Acme":           "CN=alice,OU=Staff,O=Acme",
		"CN = alice , OU = Staff, O=Acme":    "CN=alice,OU=Staff,O=Acme",
		"  CN=alice  ":                       "CN=alice",
		"commonName=a,userId=b":              "CN=a,UID=b",
		"2.5.4.3=alice":                      "CN=alice",
		"E=a@b.c,serialNumber=7,SN=x":        "emailAddress=a@b.c,serialNumber=7,SN=x",
		"OU=b+CN=a":                          "CN=a+OU=b",
		"CN=a + OU=b,O=c":                    "CN=a+OU=b,O=c",
		`CN=a\,b\+c\"d\\e\<f\>g\;h\=i`:       `CN=a\,b\+c\"d\\e\<f\>g\;h=i`,
		`CN=\#a`:                             `CN=\#a`,
		`CN=a\2Cb`:                           `CN=a\,b`,
		`CN=J\C3\BCrgen`:                     "CN=Jürgen",
		"CN=Jürgen":                          "CN=Jürgen",
		"CN=#0C0161":                         "CN=a",
		"CN=#130161 ,O=b":                    "CN=a,O=b",
		"1.2.3.4=#0C0161":                    "1.2.3.4=#0c0161",
		"1.2.3.4=a":                          "1.2.3.4=#0c0161",
		"CN=a=b":                             "CN=a=b",
		"CN=a#b":                             "CN=a#b",
		"CN={user},O=Acme":                   "CN={user},O=Acme",
		"2.999.18446744073709551615=a":       "",
		"2.999.1=a":                          "2.999.1=#0c0161",
		"":                                   "",
		"   ":                                "",
		"alice":                              "",
		"CN":                                 "",
		"CN=":                                "",
		"CN=a,":                              "",
		",CN=a":                              "",
		"CN=a,,O=b":                          "",
		"CN=a+":                              "",
		"=a":                                 "",
		"XX=a":                               "",
		"2.5.4.03=a":                         "",
		"2.5=":                               "",
		"3.1=a":                              "",
		"1.40=a":                             "",
		`CN="a,b"`:                           "",
		"CN=a;O=b":                           "",
		"CN=a<b":                             "",
		`CN=a\`:                              "",
		`CN=a\x`:                             "",
		`CN=a\C3`:                            "",
		`CN=\ a`:                             "",
		`CN=a\ `:                             "",
		"CN=a  b":                            "",
		`CN=a\00`:                            "",
		"CN=a\tb":                            "",
		"CN=a\u200bb":                        "",
		"CN=#":                               "",
		"CN=#0C02":                           "",
		"CN=#0C016":                          "",
		"CN=#0C0161zz":                       "",
		"CN=#020101":                         "",
		"CN=#1E020061":                       "",
		"\u212aCN=a":                         "",
		"CN=" + strings.Repeat("a", 256):     "CN=" + strings.Repeat("a", 256),
		"CN=" + strings.Repeat("a", 257):     "",
		strings.Repeat("CN=a,", 64) + "CN=a": "",
		"/C=DE/CN=alice":                     "",
	} {
		name, err := certmap.ParseSubject(text)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q: read as %q, want a mistake", text, name)
		case want != "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && name.String() != want:
			t.Errorf("%q: %q, want %q", text, name, want)
		}
		if err != nil {
			continue
		}
		if again, err := certmap.ParseSubject(name.String()); err != nil || again != name {
			t.Errorf("%q: %q is read back as %q, %v", text, name, again, err)
		}
	}
}

func TestC2_SubjectStructure(t *testing.T) {
	one := must(nameOf([]attr{o("b")}, []attr{o("a")}))
	two := must(nameOf([]attr{o("a")}, []attr{o("b")}))
	set := must(nameOf([]attr{o("a"), o("b")}))
	if one == two || one == set || two == set {
		t.Errorf("%q, %q and %q are three names", one, two, set)
	}
	if swapped := must(nameOf([]attr{o("b"), o("a")})); swapped != set {
		t.Error("an RDN is a set")
	}
	if double := must(nameOf([]attr{o("a"), o("a")})); double == must(nameOf([]attr{o("a")})) {
		t.Error("an attribute twice is not the attribute once")
	}
	if one.String() != "O=a,O=b" {
		t.Errorf("%q: RFC 4514 begins at the certificate's end", one)
	}

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

func TestC1_CapturedTwice(t *testing.T) {
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

func TestC3_SeparatorInjection(t *testing.T) {
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

// hostile values make a name nobody's, wherever in it they stand.
func TestC5_C6_C8_HostileValues(t *testing.T) {
	for name, value := range map[string]string{
		"C5 NUL": "admin\x00.evil", "C5 newline": "alice\nuser=admin", "C5 tab": "a\tb", "C5 DEL": "a\x7f", "C5 C1": "a\u0085b", "C5 escape": "\x1b[2J",
		"C6 bidi": "a\u202eb", "C6 isolate": "a\u2066b", "C6 zero width": "a\u200bb", "C6 joiner": "a\u200db", "C6 BOM": "\ufeffa", "C6 soft hyphen": "a\u00adb",
		"C6 word joiner": "a\u2060b", "C6 ALM": "a\u061cb", "C6 tag": "a\U000e0041", "C6 filler": "a\u3164", "C6 variation": "a\ufe0f", "C6 private": "a\ue000",
		"C6 line separator": "a\u2028b", "C6 replacement": "a\ufffdb", "C6 decomposed": "a\u0301", "C6 Kelvin": "\u212a",
		"C8 leading": " admin", "C8 trailing": "admin ", "C8 double": "a  b", "C8 empty": "", "C8 blank": " ", "C8 nbsp": "a\u00a0b",
		"invalid UTF-8": "a\xff", "surrogate": "a\xed\xa0\x80", "overlong": "a\xc0\xaf",
	} {
		for where, sets := range map[string][][]attr{
			"alone": each(cn(value)), "beside": {{o("Acme"), cn(value)}}, "elsewhere": each(o(value), cn("alice")),
		} {
			if got, err := nameOf(sets...); err == nil {
				t.Errorf("%s, %s: %q is somebody's", name, where, got)
			}
		}
	}
	w := newWorld(t)
	m := table(t,
		certmap.Mapping{ID: "m", User: "{user}", Subject: "CN={user}", Issuer: w.key},
		certmap.Mapping{ID: "n", User: "{user}", Subject: "CN={user},O=Acme", Issuer: w.key})
	for _, value := range []string{"admin ", "admin\u200b", "admin\n", "\uff41dmin", "\u0430dmin", "a\u017fmin", "ad\u0131n", "admi\u212a"} {
		if got := outcome(t, m, w.leaf(t, rdns(each(cn(value))...)), "p"); got != "[unmapped]" {
			t.Errorf("%q: %s", value, got)
		}
		if got := outcome(t, m, w.leaf(t, rdns(each(o("Acme"), ou(value), cn("alice"))...)), "p"); got != "[unmapped]" {
			t.Errorf("OU %q: %s", value, got)
		}
	}
	named := func(c *x509.Certificate) { c.DNSNames = []string{"a.example"} } // a strict trust refuses a certificate without any name
	if got := outcome(t, m, w.leaf(t, rdns(), named), "p"); got != "[unmapped]" {
		t.Errorf("no subject: %s", got)
	}
	if _, err := nameOf(); err == nil {
		t.Error("an empty subject is a name")
	}
}

func TestC6_NoFolding(t *testing.T) {
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

func TestC7_StringTypes(t *testing.T) {
	w := newWorld(t)
	m := table(t, certmap.Mapping{ID: "m", User: "alice", Subject: "CN=alice", Issuer: w.key})
	for tag, want := range map[int]string{
		asn1.TagUTF8String: "alice", asn1.TagPrintableString: "alice", asn1.TagIA5String: "alice", asn1.TagT61String: "[unmapped]",
	} {
		if got := outcome(t, m, w.leaf(t, rdns(each(attr{oidCN, tag, "alice"})...)), "p"); got != want {
			t.Errorf("tag %d: %s, want %s", tag, got, want)
		}
	}
	for name, a := range map[string]attr{
		"BMP":       {oidCN, asn1.TagBMPString, "\x00a"},
		"Universal": {oidCN, 28, "\x00\x00\x00a"},
		"Numeric":   {oidCN, asn1.TagNumericString, "7"},
		"General":   {oidCN, asn1.TagGeneralString, "a"},
		"INTEGER":   {oidCN, asn1.TagInteger, "a"},
		"Latin-1":   {oidCN, asn1.TagPrintableString, "\xe4"},
	} {
		if got, err := nameOf(each(a, o("Acme"))...); err == nil {
			t.Errorf("%s: %q is somebody's", name, got)
		}
	}
}

func TestC9_Oversize(t *testing.T) {
	if _, err := nameOf(each(cn(strings.Repeat("a", 256)))...); err != nil {
		t.Error(err)
	}
	if _, err := nameOf(each(cn(strings.Repeat("a", 257)))...); err == nil {
		t.Error("257 bytes")
	}
	var many []attr
	for range 64 {
		many = append(many, ou("a"))
	}
	if _, err := nameOf(each(many...)...); err != nil {
		t.Error(err)
	}
	many = append(many, cn("a"))
	for _, sets := range [][][]attr{each(many...), {many}} {
		if _, err := nameOf(sets...); err == nil {
			t.Error("65 attributes")
		}
	}
}

func TestSubjectDER(t *testing.T) {
	good := rawSubject(each(cn("alice"))...)
	for i := range good {
		if _, err := certmap.SubjectOf(&x509.Certificate{RawSubject: good[:i]}); err == nil {
			t.Errorf("cut at %d", i)
		}
	}
	for name, raw := range map[string][]byte{
		"trailing":    append(append([]byte{}, good...), 0),
		"indefinite":  append([]byte{0x30, 0x80}, append(good[2:], 0, 0)...),
		"long form":   append([]byte{0x30, 0x81, good[1]}, good[2:]...),
		"empty set":   der(0x30, der(0x31, nil)),
		"no value":    der(0x30, der(0x31, der(0x30, []byte{6, 3, 85, 4, 3}))),
		"two values":  der(0x30, der(0x31, der(0x30, []byte{6, 3, 85, 4, 3, 12, 1, 'a', 12, 1, 'b'}))),
		"padded OID":  der(0x30, der(0x31, der(0x30, []byte{6, 4, 85, 4, 0x80, 3, 12, 1, 'a'}))),
		"cut OID":     der(0x30, der(0x31, der(0x30, []byte{6, 3, 85, 4, 0x83, 12, 1, 'a'}))),
		"no OID":      der(0x30, der(0x31, der(0x30, []byte{6, 0, 12, 1, 'a'}))),
		"constructed": der(0x30, der(0x31, der(0x30, []byte{6, 3, 85, 4, 3, 0x2c, 3, 12, 1, 'a'}))),
	} {
		if got, err := certmap.SubjectOf(&x509.Certificate{RawSubject: raw}); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}
