package dn

import (
	"encoding/asn1"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Tags of the string types that cryptobyte does not name.
const (
	tagNumeric   = der.Tag(18)
	tagVisible   = der.Tag(26)
	tagUniversal = der.Tag(28)
	tagBMP       = der.Tag(30)
)

// Equal reports whether two names in DER are the same name by RFC 5280 section 7.1. It
// compares attributes by object identifier, and string values without regard to string
// type, letter case and white space. Two names of the same bytes are always equal.
func Equal(a, b []byte) bool { return string(a) == string(b) || Canonical(a) == Canonical(b) }

// Canonical returns a key that is the same for equal names. For a malformed name the
// key holds the bytes themselves.
//
// String values are prepared by RFC 4518 section 2, without Unicode normalisation
// (step 2.3): two names of which one is composed and the other decomposed differ.
func Canonical(raw []byte) string {
	var out []byte
	var rdn []string
	flush := func() {
		slices.Sort(rdn) // a relative distinguished name is a set
		b := cryptobyte.NewBuilder(out)
		b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
			for _, attribute := range rdn {
				b.AddBytes([]byte(attribute))
			}
		})
		out, rdn = b.BytesOrPanic(), rdn[:0]
	}
	at := 0
	ok := Each(raw, func(index int, id asn1.ObjectIdentifier, tag der.Tag, value []byte) bool {
		if index != at {
			flush()
			at = index
		}
		b := cryptobyte.NewBuilder(nil)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(id)
			if text, ok := decode(tag, value); ok {
				tag, value = der.UTF8String, []byte(prepare(text))
			}
			b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(value) })
		})
		attribute, err := b.Bytes()
		rdn = append(rdn, string(attribute))
		return err == nil
	})
	if !ok {
		return "raw:" + string(raw)
	}
	if len(rdn) > 0 {
		flush()
	}
	return string(out)
}

// Each calls f for each attribute of a Name, with the index of its relative
// distinguished name. It returns false where the name is malformed or f returns false.
func Each(name []byte, f func(rdn int, id asn1.ObjectIdentifier, tag der.Tag, value []byte) bool) bool {
	raw := cryptobyte.String(name)
	var rdns cryptobyte.String
	if !raw.ReadASN1(&rdns, der.SEQUENCE) || !raw.Empty() {
		return false
	}
	for i := 0; !rdns.Empty(); i++ {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, der.SET) || set.Empty() {
			return false
		}
		for !set.Empty() {
			var pair, value cryptobyte.String
			var id asn1.ObjectIdentifier
			var tag der.Tag
			if !set.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&id) || !pair.ReadAnyASN1(&value, &tag) || !pair.Empty() {
				return false
			}
			if !f(i, id, tag, value) {
				return false
			}
		}
	}
	return true
}

// decode reads a value of a string type (RFC 4518 section 2.1). T61String is read as
// Latin-1, as OpenSSL does.
func decode(tag der.Tag, value []byte) (string, bool) {
	switch tag {
	case der.UTF8String, der.PrintableString, der.IA5String, tagNumeric, tagVisible:
		return string(value), utf8.Valid(value)
	case der.T61String:
		runes := make([]rune, len(value))
		for i, b := range value {
			runes[i] = rune(b)
		}
		return string(runes), true
	case tagBMP:
		if len(value)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(value)/2)
		for i := range units {
			units[i] = uint16(value[2*i])<<8 | uint16(value[2*i+1])
		}
		return string(utf16.Decode(units)), true
	case tagUniversal:
		if len(value)%4 != 0 {
			return "", false
		}
		var out strings.Builder
		for i := 0; i < len(value); i += 4 {
			r := rune(value[i])<<24 | rune(value[i+1])<<16 | rune(value[i+2])<<8 | rune(value[i+3])
			if !utf8.ValidRune(r) {
				return "", false
			}
			out.WriteRune(r)
		}
		return out.String(), true
	}
	return "", false
}

// prepare drops characters that RFC 4518 section 2.2 maps to nothing, folds case, and
// replaces every run of white space by one space, except at the ends (section 2.6.1).
func prepare(text string) string {
	var out strings.Builder
	blank := false
	for _, r := range text {
		switch {
		case isSpace(r):
			blank = out.Len() > 0
		case isIgnored(r):
		default:
			if blank {
				out.WriteByte(' ')
				blank = false
			}
			if r == 'ß' || r == 'ẞ' {
				out.WriteString("ss") // the only full folding of Latin script that occurs in names
				continue
			}
			out.WriteRune(fold(r))
		}
	}
	return out.String()
}

// fold returns the smallest of the runes that differ from r by letter case only.
func fold(r rune) rune {
	if r < utf8.RuneSelf {
		return unicode.ToLower(r)
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if 'A' <= least && least <= 'Z' {
		return unicode.ToLower(least)
	}
	return least
}

// isSpace reports whether RFC 4518 section 2.2 maps a rune to a space.
func isSpace(r rune) bool {
	return r >= 0x09 && r <= 0x0d || r == 0x85 || r == 0x2028 || r == 0x2029 || unicode.Is(unicode.Zs, r)
}

// isIgnored reports whether RFC 4518 section 2.2 maps a rune to nothing: controls, joiners,
// variation selectors and the like.
func isIgnored(r rune) bool {
	switch {
	case r == 0x034f, r >= 0x180b && r <= 0x180d, r >= 0xfe00 && r <= 0xfe0f, r == 0xfffc:
		return true
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r)
}
