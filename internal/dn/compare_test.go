package dn_test

import (
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
func TestNamesAreComparedAsRFC5280Says(t *testing.T) {
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
		{"values that are no text", name([]attribute{{3, der.INTEGER, "\x01"}}), name([]attribute{{3, der.INTEGER, "\x02"}}), false},
		{"broken UTF-8", cn(utf, "\xff"), cn(utf, "\xfe"), false},
		{"half a BMPString", cn(bmp, "\x00A\x00"), cn(bmp, "\x00A"), false},
		{"an empty name", name(), plain, false},
		{"something behind", append(name([]attribute{{3, utf, "a"}}), 0), name([]attribute{{3, utf, "a"}}), false},
	} {
		if got := dn.Equal(x.a, x.b); got != x.equal {
			t.Errorf("%s: %t, want %t", x.what, got, x.equal)
		}
		if dn.Equal(x.b, x.a) != x.equal {
			t.Errorf("%s: not symmetric", x.what)
		}
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
