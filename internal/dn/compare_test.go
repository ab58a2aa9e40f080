package dn_test

import (
	"encoding/asn1"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/dn"
)

type attribute struct {
	id    byte // 2.5.4.id
	tag   der.Tag
	value string
}

func name(rdns ...[]attribute) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, rdn := range rdns {
			b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
				for _, a := range rdn {
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(der.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte{0x55, 4, a.id}) })
						b.AddASN1(a.tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.value)) })
					})
				}
			})
		}
	})
	return b.BytesOrPanic()
}

// Covers V2.
func TestNamesAreComparedByRFC5280(t *testing.T) {
	t.Parallel()
	const utf, printable, t61, ia5, bmp, universal = der.UTF8String, der.PrintableString, der.T61String, der.IA5String, der.Tag(30), der.Tag(28)
	cn := func(tag der.Tag, value string) []byte { return name([]attribute{{3, tag, value}}) }
	plain := cn(utf, "Acme CA")
	for _, x := range []struct {
		what  string
		a, b  []byte
		equal bool
	}{
		{"the same bytes", plain, plain, true},
		{"another string type", plain, cn(printable, "Acme CA"), true},
		{"IA5String", plain, cn(ia5, "Acme CA"), true},
		{"BMPString", plain, cn(bmp, "\x00A\x00c\x00m\x00e\x00 \x00C\x00A"), true},
		{"UniversalString", cn(utf, "Ab"), cn(universal, "\x00\x00\x00A\x00\x00\x00b"), true},
		{"T61String", cn(utf, "Müller CA"), cn(t61, "M\xfcller CA"), true},
		{"letter case", plain, cn(printable, "ACME ca"), true},
		{"letter case beyond ASCII", cn(utf, "MÜLLER CA"), cn(utf, "müller ca"), true},
		{"a letter whose folding is two", cn(utf, "Großmann"), cn(utf, "GROSSMANN"), true},
		{"Greek sigmas", cn(utf, "ΣΑΣ"), cn(utf, "σας"), true},
		{"the Kelvin sign", cn(utf, "\u212a"), cn(utf, "k"), true},
		{"two blanks for one", plain, cn(utf, "Acme  CA"), true},
		{"blanks around", plain, cn(utf, "  Acme CA "), true},
		{"a tab", plain, cn(utf, "Acme\tCA"), true},
		{"a carriage return", plain, cn(utf, "Acme\rCA"), true},
		{"a next line", plain, cn(utf, "Acme\u0085CA"), true},
		{"a line separator", plain, cn(utf, "Acme\u2028CA"), true},
		{"a paragraph separator", plain, cn(utf, "Acme\u2029CA"), true},
		{"a backspace", plain, cn(utf, "Ac\bme CA"), true},
		{"a backspace is not a blank", plain, cn(utf, "Acme\bCA"), false},
		{"a shift out", plain, cn(utf, "Ac\x0eme CA"), true},
		{"a shift out is not a blank", plain, cn(utf, "Acme\x0eCA"), false},
		{"a grapheme joiner", plain, cn(utf, "Ac\u034fme CA"), true},
		{"the first Mongolian selector", plain, cn(utf, "Ac\u180bme CA"), true},
		{"the last Mongolian selector", plain, cn(utf, "Ac\u180dme CA"), true},
		{"the first variation selector", plain, cn(utf, "Ac\ufe00me CA"), true},
		{"the last variation selector", plain, cn(utf, "Ac\ufe0fme CA"), true},
		{"a combining half mark", plain, cn(utf, "Ac\ufe20me CA"), false},
		{"a Mongolian birga", plain, cn(utf, "Ac\u180ame CA"), false},
		{"an object replacement", plain, cn(utf, "Ac\ufffcme CA"), true},
		{"a no-break space", plain, cn(utf, "Acme\u00a0CA"), true},
		{"a soft hyphen", plain, cn(utf, "Ac\u00adme CA"), true},
		{"a zero width space", plain, cn(utf, "Ac\u200bme CA"), true},
		{"no blank", plain, cn(utf, "AcmeCA"), false},
		{"another letter", plain, cn(utf, "Acme CB"), false},
		{"a prefix", plain, cn(utf, "Acme CA 2"), false},
		{"another attribute", plain, name([]attribute{{10, utf, "Acme CA"}}), false},
		{"a set in another order", name([]attribute{{3, utf, "a"}, {10, utf, "b"}}), name([]attribute{{10, printable, "B"}, {3, utf, "A"}}), true},
		{"two sets for one", name([]attribute{{3, utf, "a"}, {10, utf, "b"}}), name([]attribute{{3, utf, "a"}}, []attribute{{10, utf, "b"}}), false},
		{"sets in another order", name([]attribute{{3, utf, "a"}}, []attribute{{10, utf, "b"}}), name([]attribute{{10, utf, "b"}}, []attribute{{3, utf, "a"}}), false},
		{"an attribute more", plain, name([]attribute{{3, utf, "Acme CA"}}, []attribute{{10, utf, ""}}), false},
		{"values that are not text", name([]attribute{{3, der.INTEGER, "\x01"}}), name([]attribute{{3, der.INTEGER, "\x02"}}), false},
		{"broken UTF-8", cn(utf, "\xff"), cn(utf, "\xfe"), false},
		{"a UniversalString that is cut", cn(universal, "\x00\x00\x00A\x00"), cn(universal, "\x00\x00\x00A"), false},
		{"a UniversalString beyond Unicode", cn(universal, "\x00\x11\x00\x00"), cn(utf, "\ufffd"), false},
		{"a large rune of a UniversalString", cn(universal, "\x00\x01\xf6\x00"), cn(utf, "\U0001f600"), true},
		{"a capital sharp s", cn(utf, "Gro\u1e9emann"), cn(utf, "grossmann"), true},
		{"NumericString", cn(utf, "7"), cn(der.Tag(18), "7"), true},
		{"VisibleString", cn(utf, "a"), cn(der.Tag(26), "A"), true},
		{"half a BMPString", cn(bmp, "\x00A\x00"), cn(bmp, "\x00A"), false},
		{"an empty name", name(), plain, false},
		{"a trailing byte", append(name([]attribute{{3, utf, "a"}}), 0), name([]attribute{{3, utf, "a"}}), false},
	} {
		if got := dn.Equal(x.a, x.b); got != x.equal {
			t.Errorf("%s: %t, want %t", x.what, got, x.equal)
		}
		if dn.Equal(x.b, x.a) != x.equal {
			t.Errorf("%s: not symmetric", x.what)
		}
	}
}

func TestCanonicalOfEmptyAndMalformedNames(t *testing.T) {
	t.Parallel()
	if got := dn.Canonical(name()); got != "" {
		t.Errorf("got %x", got)
	}
	good := name([]attribute{{3, der.UTF8String, "a"}})
	for text, raw := range map[string][]byte{
		"nothing": nil, "cut": good[:len(good)-1], "trailing": append(slices.Clone(good), 0), "an empty set": {0x30, 2, 0x31, 0}, "not a set": {0x30, 2, 0x30, 0},
		"no value": {0x30, 9, 0x31, 7, 0x30, 5, 6, 3, 85, 4, 3}, "two values": {0x30, 13, 0x31, 11, 0x30, 9, 6, 3, 85, 4, 3, 5, 0, 5, 0},
	} {
		if got := dn.Canonical(raw); got != "raw:"+string(raw) {
			t.Errorf("%s: %x, want %x", text, got, "raw:"+string(raw))
		}
	}
	calls := 0
	if dn.Each(name([]attribute{{3, der.UTF8String, "a"}}, []attribute{{3, der.UTF8String, "b"}}), func(rdn int, _ asn1.ObjectIdentifier, _ der.Tag, _ []byte) bool { calls++; return rdn > 0 }) || calls != 1 {
		t.Errorf("%d calls after false", calls)
	}
	var rdns []int
	dn.Each(name([]attribute{{3, der.UTF8String, "a"}, {10, der.UTF8String, "b"}}, []attribute{{3, der.UTF8String, "c"}}), func(rdn int, _ asn1.ObjectIdentifier, _ der.Tag, _ []byte) bool {
		rdns = append(rdns, rdn)
		return true
	})
	if !slices.Equal(rdns, []int{0, 0, 1}) {
		t.Errorf("got %v", rdns)
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add(name([]attribute{{3, der.UTF8String, "Acme CA"}}))
	f.Add(name([]attribute{{3, der.Tag(30), "\x00A"}, {10, der.T61String, "\xfc"}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		key := dn.Canonical(raw)
		if !dn.Equal(raw, raw) || dn.Canonical(raw) != key {
			t.Error("not equal to itself")
		}
	})
}
