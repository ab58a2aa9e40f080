package dn_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/dn"
)

const (
	idCN = 3
	idO  = 10
	idOU = 11
)

func cn(v string) attribute { return attribute{idCN, der.UTF8String, v} }
func o(v string) attribute  { return attribute{idO, der.UTF8String, v} }
func ou(v string) attribute { return attribute{idOU, der.UTF8String, v} }

// each returns every attribute as an RDN of its own.
func each(attributes ...attribute) [][]attribute {
	var out [][]attribute
	for _, a := range attributes {
		out = append(out, []attribute{a})
	}
	return out
}

func parse(t *testing.T, rdns ...[]attribute) dn.Name {
	t.Helper()
	n, err := dn.FromDER(name(rdns...))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestParseReadsRFC4514TextAndStringWritesIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // "" is an error
		"CN=alice":                              "CN=alice",
		"cn=alice,ou=Staff,o=Acme":              "CN=alice,OU=Staff,O=Acme",
		"CN = alice , OU = Staff, O=Acme":       "CN=alice,OU=Staff,O=Acme",
		"  CN=alice  ":                          "CN=alice",
		"commonName=a,userId=b":                 "CN=a,UID=b",
		"2.5.4.3=alice":                         "CN=alice",
		"E=a@b.c,serialNumber=7,SN=x":           "emailAddress=a@b.c,serialNumber=7,SN=x",
		"OU=b+CN=a":                             "CN=a+OU=b",
		"CN=a + OU=b,O=c":                       "CN=a+OU=b,O=c",
		`CN=a\,b\+c\"d\\e\<f\>g\;h\=i`:          `CN=a\,b\+c\"d\\e\<f\>g\;h=i`,
		`CN=\#a`:                                `CN=\#a`,
		`CN=a\2Cb`:                              `CN=a\,b`,
		`CN=J\C3\BCrgen`:                        "CN=Jürgen",
		"CN=Jürgen":                             "CN=Jürgen",
		"CN=#0C0161":                            "CN=a",
		"CN=#130161 ,O=b":                       "CN=a,O=b",
		"1.2.3.4=#0C0161":                       "1.2.3.4=#0c0161",
		"1.2.3.4=a":                             "1.2.3.4=#0c0161",
		"CN=a=b":                                "CN=a=b",
		"CN=a#b":                                "CN=a#b",
		"CN={user},O=Acme":                      "CN={user},O=Acme",
		"2.999.18446744073709551615=a":          "",
		"2.999.1=a":                             "2.999.1=#0c0161",
		"":                                      "",
		"   ":                                   "",
		"alice":                                 "",
		"CN":                                    "",
		"CN=":                                   "",
		"CN=a,":                                 "",
		",CN=a":                                 "",
		"CN=a,,O=b":                             "",
		"CN=a+":                                 "",
		"=a":                                    "",
		"XX=a":                                  "",
		"2.5.4.03=a":                            "",
		"2.5=":                                  "",
		"2.5=a":                                 "2.5=#0c0161",
		"3.1=a":                                 "",
		"1.40=a":                                "",
		`CN="a,b"`:                              "",
		"CN=a;O=b":                              "",
		"CN=a<b":                                "",
		`CN=a\`:                                 "",
		`CN=a\x`:                                "",
		`CN=a\C3`:                               "",
		`CN=\ a`:                                "",
		`CN=a\ `:                                "",
		"CN=a  b":                               "",
		`CN=a\00`:                               "",
		"CN=a\tb":                               "",
		"CN=a\u200bb":                           "",
		"CN=#":                                  "",
		"CN=#0C02":                              "",
		"CN=#0C016":                             "",
		"CN=#0C0161zz":                          "",
		"CN=#020101":                            "",
		"CN=#1E020061":                          "",
		"\u212aCN=a":                            "",
		"CN=" + strings.Repeat("a", 256):        "CN=" + strings.Repeat("a", 256),
		"CN=" + strings.Repeat("a", 257):        "",
		strings.Repeat("CN=a,", 64) + "CN=a":    "",
		"/C=DE/CN=alice":                        "",
		"CN=a>b":                                "",
		"CN=a\"b":                               "",
		`CN=a\4`:                                "",
		`CN=a\4z`:                               "",
		"CN=#0C0161+O=b":                        "CN=a+O=b",
		"CN=#0C0161 x":                          "",
		"2.5.4=a":                               "2.5.4=#0c0161",
		"0.39.1=a":                              "0.39.1=#0c0161",
		"0.40.1=a":                              "",
		"1.39.127=a":                            "1.39.127=#0c0161",
		"1.39.128=a":                            "1.39.128=#0c0161",
		"2.40.16384=a":                          "2.40.16384=#0c0161",
		"2.9223372036854775727.1=a":             "2.9223372036854775727.1=#0c0161",
		"2.9223372036854775728.1=a":             "",
		"2=a":                                   "",
		"1.2" + strings.Repeat(".1", 63) + "=a": "1.2" + strings.Repeat(".1", 63) + "=#0c0161",
		"1.2" + strings.Repeat(".1", 64) + "=a": "",
		"1.2.3={user}":                          "1.2.3=#0c067b757365727d",
		"1.2.3=" + strings.Repeat("a", 127):     "1.2.3=#0c7f" + strings.Repeat("61", 127),
		"1.2.3=" + strings.Repeat("a", 128):     "1.2.3=#0c8180" + strings.Repeat("61", 128),
		"1.2.3=" + strings.Repeat("a", 255):     "1.2.3=#0c81ff" + strings.Repeat("61", 255),
		"1.2.3=" + strings.Repeat("a", 256):     "1.2.3=#0c820100" + strings.Repeat("61", 256),
		"CN=a" + strings.Repeat(" ", 64<<10-4):  "CN=a",
		"CN=a" + strings.Repeat(" ", 64<<10-3):  "",
		strings.Repeat("CN=a,", 63) + "CN=a":    strings.Repeat("CN=a,", 63) + "CN=a",
	} {
		name, err := dn.Parse(text)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q: read as %q, want an error", text, name)
		case want != "" && err != nil:
			t.Errorf("%q: got %v", text, err)
		case want != "" && name.String() != want:
			t.Errorf("%q: %q, want %q", text, name, want)
		}
		if err != nil {
			continue
		}
		if again, err := dn.Parse(name.String()); err != nil || again != name {
			t.Errorf("%q: %q is read back as %q, %v", text, name, again, err)
		}
	}
}

// Covers C2.
func TestNamesDifferByTheStructureOfTheirRDNs(t *testing.T) {
	t.Parallel()
	one, two, set := parse(t, []attribute{o("b")}, []attribute{o("a")}), parse(t, []attribute{o("a")}, []attribute{o("b")}), parse(t, []attribute{o("a"), o("b")})
	if one == two || one == set || two == set {
		t.Errorf("%q, %q and %q are three names", one, two, set)
	}
	if parse(t, []attribute{o("b"), o("a")}) != set {
		t.Error("an RDN is a set")
	}
	if parse(t, []attribute{o("a"), o("a")}) == parse(t, []attribute{o("a")}) {
		t.Error("an attribute twice is not the attribute once")
	}
	if one.String() != "O=a,O=b" {
		t.Errorf("%q: RFC 4514 begins at the certificate's end", one)
	}
	three := parse(t, []attribute{o("b"), cn("a"), ou("c")}, []attribute{cn("x")})
	if got, want := three.String(), "CN=x,CN=a+O=b+OU=c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if read, err := dn.Parse(three.String()); err != nil || read != three || dn.FromKey(three.Key()) != three {
		t.Errorf("got %q, %v", read, err)
	}
	rdns := three.RDNs()
	if len(rdns) != 2 || len(rdns[0]) != 1 || len(rdns[1]) != 3 || rdns[1][2].String() != "OU=c" {
		t.Errorf("got %v, want two RDNs, the second with three attributes", rdns)
	}
}

func TestPlaceholderTakesThePlaceOfOneValue(t *testing.T) {
	t.Parallel()
	key := []byte(parse(t, []attribute{o("Acme")}, []attribute{cn("alice"), ou("Staff")}).Key())
	cnOID := "\x55\x04\x03"
	if !dn.HasOnce(key, cnOID) || dn.HasOnce(key, "\x55\x04") || dn.HasOnce(parse(t, each(cn("a"), cn("b"))...).Key(), cnOID) {
		t.Error("HasOnce")
	}
	for _, s := range dn.Spans(key) {
		if string(key[s.OID:s.OIDEnd]) != cnOID {
			continue
		}
		pattern := string(dn.AppendWithPlaceholder([]byte("front"), key, s))
		if got, want := dn.FromKey(strings.TrimPrefix(pattern, "front")).String(), "CN={user}+OU=Staff,O=Acme"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for rdn := range dn.Spans(key) {
		if rdn != 0 {
			t.Fatalf("the first RDN is %d, want 0", rdn)
		}
		break
	}
	if got := (dn.Attribute{OID: "\x2a\x03", Value: dn.Placeholder}).String(); got != "1.2.3={user}" {
		t.Errorf("got %q, want %q", got, "1.2.3={user}")
	}
}

// Covers C5, C6, C8. The whole name is rejected, wherever in it the value stands.
func TestNamesWithUnsafeValuesAreRejected(t *testing.T) {
	t.Parallel()
	for text, value := range map[string]string{
		"NUL": "admin\x00.evil", "newline": "alice\nuser=admin", "tab": "a\tb", "unit separator": "a\x1fb", "DEL": "a\x7f", "C1": "a\u0085b", "escape": "\x1b[2J",
		"bidi": "a\u202eb", "isolate": "a\u2066b", "zero width": "a\u200bb", "joiner": "a\u200db", "BOM": "\ufeffa", "soft hyphen": "a\u00adb",
		"word joiner": "a\u2060b", "ALM": "a\u061cb", "tag": "a\U000e0041", "filler": "a\u3164", "variation": "a\ufe0f", "private": "a\ue000",
		"line separator": "a\u2028b", "replacement": "a\ufffdb", "decomposed": "a\u0301", "first accent": "a\u0300", "last accent": "a\u036f", "Kelvin": "\u212a", "Ohm": "\u2126", "Angstrom": "\u212b",
		"first compatibility ideograph": "\uf900", "last compatibility ideograph": "\ufad9",
		"leading": " admin", "trailing": "admin ", "double": "a  b", "double after a letter beyond ASCII": "\u00e4  b", "empty": "", "blank": " ", "no-break space": "a\u00a0b",
		"invalid UTF-8": "a\xff", "surrogate": "a\xed\xa0\x80", "overlong": "a\xc0\xaf", "257 bytes": strings.Repeat("a", 257),
	} {
		for where, rdns := range map[string][][]attribute{
			"alone": each(cn(value)), "beside": {{o("Acme"), cn(value)}}, "elsewhere": each(o(value), cn("alice")),
		} {
			if got, err := dn.FromDER(name(rdns...)); err == nil {
				t.Errorf("%s, %s: %q is accepted", text, where, got)
			}
		}
		if dn.CheckValue(value) == nil || dn.CheckValue([]byte(value)) == nil {
			t.Errorf("%s is accepted", text)
		}
	}
	for _, value := range []string{"a", "a b c", "!", "~", "\u00e4", "a \u00e4 b", "\u02ff", "\u0370", "\u2127", "\u2125", "\ufb00", strings.Repeat("a", 256)} {
		if err := dn.CheckValue(value); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
	if _, err := dn.FromDER(name()); err == nil {
		t.Error("an empty subject is accepted")
	}
}

// Covers C7.
func TestStringTypesOfOneMeaningOnlyAreRead(t *testing.T) {
	t.Parallel()
	want := parse(t, []attribute{cn("alice")})
	for _, tag := range []der.Tag{der.UTF8String, der.PrintableString, der.IA5String} {
		if got := parse(t, []attribute{{idCN, tag, "alice"}}); got != want {
			t.Errorf("tag %d: %q, want %q", tag, got, want)
		}
	}
	for text, a := range map[string]attribute{
		"BMP": {idCN, 30, "\x00a"}, "Universal": {idCN, 28, "\x00\x00\x00a"}, "Numeric": {idCN, 18, "7"}, "General": {idCN, 27, "a"}, "T61": {idCN, der.T61String, "a"},
		"INTEGER": {idCN, der.INTEGER, "a"}, "Latin-1": {idCN, der.PrintableString, "\xe4"}, "0x80": {idCN, der.IA5String, "\x80"},
		"UTF-8 in IA5": {idCN, der.IA5String, "\u00e4"}, "constructed": {idCN, der.UTF8String | 0x20, "a"},
	} {
		if got, err := dn.FromDER(name(each(a, o("Acme"))...)); err == nil {
			t.Errorf("%s: %q is accepted", text, got)
		}
	}
}

// Covers C9.
func TestLargeNamesAreRejected(t *testing.T) {
	t.Parallel()
	many := slices.Repeat([]attribute{ou("a")}, 64)
	for _, rdns := range [][][]attribute{each(many...), {many}, {many[:32], many[32:]}} {
		if _, err := dn.FromDER(name(rdns...)); err != nil {
			t.Errorf("64 attributes: %v", err)
		}
	}
	more := append(slices.Clone(many), cn("a"))
	for _, rdns := range [][][]attribute{each(more...), {more}, {many[:32], more[32:]}, append(each(many[:63]...), []attribute{ou("a"), ou("b")})} {
		if _, err := dn.FromDER(name(rdns...)); err == nil {
			t.Error("65 attributes are accepted")
		}
	}
}

func TestMalformedDERIsRejected(t *testing.T) {
	t.Parallel()
	good := name([]attribute{cn("alice")})
	for i := range good {
		if _, err := dn.FromDER(good[:i]); err == nil {
			t.Errorf("cut at %d", i)
		}
	}
	wrap := func(tag byte, content ...byte) []byte { return append([]byte{tag, byte(len(content))}, content...) }
	pair := func(content ...byte) []byte { return wrap(0x30, wrap(0x31, wrap(0x30, content...)...)...) }
	long := slices.Concat([]byte{6, 64, 42}, make([]byte, 63), []byte{12, 1, 'a'})
	if _, err := dn.FromDER(pair(long...)); err != nil {
		t.Errorf("an OID of 64 bytes: %v", err)
	}
	for text, raw := range map[string][]byte{
		"trailing":       append(slices.Clone(good), 0),
		"indefinite":     append([]byte{0x30, 0x80}, append(slices.Clone(good[2:]), 0, 0)...),
		"long form":      append([]byte{0x30, 0x81, good[1]}, good[2:]...),
		"empty set":      wrap(0x30, wrap(0x31)...),
		"not a set":      wrap(0x30, wrap(0x30, wrap(0x30, 6, 3, 85, 4, 3, 12, 1, 'a')...)...),
		"not a sequence": wrap(0x31, wrap(0x31, wrap(0x30, 6, 3, 85, 4, 3, 12, 1, 'a')...)...),
		"no value":       pair(6, 3, 85, 4, 3),
		"two values":     pair(6, 3, 85, 4, 3, 12, 1, 'a', 12, 1, 'b'),
		"padded OID":     pair(6, 4, 85, 4, 0x80, 3, 12, 1, 'a'),
		"cut OID":        pair(6, 3, 85, 4, 0x83, 12, 1, 'a'),
		"no OID":         pair(6, 0, 12, 1, 'a'),
		"not an OID":     pair(12, 1, 'a', 12, 1, 'a'),
		"a long OID":     pair(slices.Concat([]byte{6, 65, 42}, make([]byte, 64), []byte{12, 1, 'a'})...),
		"a large arc":    pair(6, 11, 42, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 12, 1, 'a'),
		"second RDN":     wrap(0x30, slices.Concat(good[2:], []byte{0x31, 0})...),
		"second of set":  wrap(0x30, wrap(0x31, slices.Concat(good[4:], []byte{0x30, 0})...)...),
	} {
		if got, err := dn.FromDER(raw); err == nil {
			t.Errorf("%s: got %q, want an error", text, got)
		}
	}
	if got, err := dn.FromDER(pair(6, 10, 42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 12, 1, 'a')); err != nil || got.String() != "1.2.9223372036854775807=#0c0161" {
		t.Errorf("an arc of 63 bits: %q, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"CN=alice,OU=Staff,O=Acme", "CN=a+OU=b, O = c", `CN=\#a\,\2C\C3\BC`, "1.2.3.4=#0C0161", "E=a@b", "CN={user}", "CN=\u202e", `CN="x"`, "2.999.1=a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := dn.Parse(text); err == nil {
			checkPrinted(t, n)
		}
	})
}

func FuzzFromDER(f *testing.F) {
	for _, rdns := range [][][]attribute{each(o("Acme"), cn("alice")), {{cn("a"), ou("b")}}, each(cn("a\x00"), ou("\u00e9")), each(attribute{idCN, 30, "\x00a"}), nil} {
		f.Add(name(rdns...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n, err := dn.FromDER(raw); err == nil {
			checkPrinted(t, n)
		}
	})
}

// checkPrinted fails if the text of a name is not read back as the same name, or has
// characters that do not print.
func checkPrinted(t *testing.T, n dn.Name) {
	t.Helper()
	printed := n.String()
	if again, err := dn.Parse(printed); err != nil || again != n {
		t.Errorf("%q is read back as %q, %v", printed, again, err)
	}
	if printed == "" || !utf8.ValidString(printed) || strings.ContainsFunc(printed, func(r rune) bool {
		return unicode.Is(unicode.C, r) || unicode.Is(unicode.Bidi_Control, r) || r != ' ' && unicode.IsSpace(r)
	}) {
		t.Errorf("%q is a name", printed)
	}
}
