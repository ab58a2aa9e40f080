package certmap

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name is a subject as it is compared: relative distinguished names in the order
// of RFC 4514 (the most specific first, the reverse of the certificate's), each a
// set of attributes, each value exact. Names are equal where == says so, and may
// be keys of a map. The zero value is no name. Get one from ParseSubject or
// SubjectOf.
type Name struct {
	// canon holds, for each RDN, the number of attributes, then for each of them,
	// sorted: the length of the OID, the OID in DER, the length of the value in two
	// bytes, the value. Lengths make it unambiguous, whatever a value holds.
	canon string
}

// Caps of a subject (design.md, settled point 14).
const (
	maxAttributes = 64
	maxValue      = 256
	maxOID        = 64
)

// attribute is a type (an OID in DER) and a value.
type attribute struct{ oid, value string }

// captured is the value that stands for {user} in the key of a pattern. No name
// can hold it, because controls are refused.
const captured = "\x00"

// appendRDN appends one RDN's attributes, which it sorts, to a canonical name.
func appendRDN(canon []byte, set []attribute) []byte {
	if len(set) > 1 {
		slices.SortFunc(set, func(a, b attribute) int {
			if c := strings.Compare(a.oid, b.oid); c != 0 {
				return c
			}
			return strings.Compare(a.value, b.value)
		})
	}
	canon = append(canon, byte(len(set)))
	for _, a := range set {
		canon = append(canon, byte(len(a.oid)))
		canon = append(canon, a.oid...)
		canon = append(canon, byte(len(a.value)>>8), byte(len(a.value)))
		canon = append(canon, a.value...)
	}
	return canon
}

// attributes returns the attributes, each with the number of its RDN. The offset
// is where its value begins in canon.
func attributesOf[T string | []byte](canon T) iter.Seq2[int, span] {
	return func(yield func(int, span) bool) {
		rdn := 0
		for at := 0; at < len(canon); rdn++ {
			n := int(canon[at])
			at++
			for range n {
				oid := at + 1
				size := oid + int(canon[at])
				value := size + 2
				at = value + int(canon[size])<<8 + int(canon[size+1])
				if !yield(rdn, span{oid, size, value, at}) {
					return
				}
			}
		}
	}
}

// span is where an attribute stands in a canonical name.
type span struct{ oid, size, value, end int }

// rdns returns the name as sets of attributes.
func (n Name) rdns() [][]attribute {
	var out [][]attribute
	for rdn, s := range attributesOf(n.canon) {
		if rdn == len(out) {
			out = append(out, nil)
		}
		out[rdn] = append(out[rdn], attribute{n.canon[s.oid:s.size], n.canon[s.value:s.end]})
	}
	return out
}

// String returns RFC 4514 text, which ParseSubject reads back as an equal name.
// Attributes of a type that has no keyword here are written in the dotted and
// #hex form of its section 2.4.
func (n Name) String() string {
	var b strings.Builder
	last := -1
	for rdn, s := range attributesOf(n.canon) {
		switch {
		case rdn == last:
			b.WriteByte('+')
		case last >= 0:
			b.WriteByte(',')
		}
		last = rdn
		writeAttribute(&b, n.canon[s.oid:s.size], n.canon[s.value:s.end])
	}
	return b.String()
}

func writeAttribute(b *strings.Builder, oid, value string) {
	keyword, known := keywordOf[oid]
	switch {
	case known:
		b.WriteString(keyword + "=")
		writeValue(b, value)
	case value == captured:
		b.WriteString(dotted(oid) + "=" + UserVariable)
	default:
		b.WriteString(dotted(oid) + "=#")
		der := []byte{tagUTF8}
		switch n := len(value); { // at most 256 bytes
		case n >= 0x100:
			der = append(der, 0x82, byte(n>>8), byte(n))
		case n >= 0x80:
			der = append(der, 0x81, byte(n))
		default:
			der = append(der, byte(n))
		}
		b.WriteString(hex.EncodeToString(append(der, value...)))
	}
}

// writeValue escapes as RFC 4514 section 2.4 wants it.
func writeValue(b *strings.Builder, value string) {
	if value == captured {
		b.WriteString(UserVariable)
		return
	}
	for i := range len(value) {
		c := value[i]
		edge := i == 0 && (c == ' ' || c == '#') || i == len(value)-1 && c == ' '
		if edge || strings.IndexByte(`"+,;<>\`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
}

// nobody is why a name is nobody's, in a certificate, and a mistake in a mapping.
var (
	errEmptyName  = errors.New("the subject is empty")
	errAttributes = fmt.Errorf("the subject has more than %d attributes", maxAttributes)
	errLong       = fmt.Errorf("a value of the subject has more than %d bytes", maxValue)
	errEmptyValue = errors.New("a value of the subject is empty")
	errUTF8       = errors.New("a value of the subject is not UTF-8")
	errBlanks     = errors.New("a value of the subject begins or ends with a blank, or has two in a row")
	errCharacter  = errors.New("the subject holds a control, bidi, zero-width, private or unassigned character, or a blank other than the space")
	errNFC        = errors.New("the subject holds a character that is written otherwise in Unicode's normal form C")
)

// checkValue refuses values that two people, or two programs, would read in two
// ways. They are refused and not put right: what is put right here is something
// else elsewhere.
func checkValue[T string | []byte](value T) error {
	if len(value) == 0 {
		return errEmptyValue
	}
	if len(value) > maxValue {
		return errLong
	}
	if value[0] == ' ' || value[len(value)-1] == ' ' {
		return errBlanks
	}
	for i := range len(value) {
		switch c := value[i]; {
		case c >= utf8.RuneSelf:
			return checkRunes(string(value))
		case c < ' ' || c == 0x7f:
			return errCharacter
		case c == ' ' && value[i-1] == ' ':
			return errBlanks
		}
	}
	return nil
}

func checkRunes(value string) error {
	if !utf8.ValidString(value) {
		return errUTF8
	}
	if strings.Contains(value, "  ") {
		return errBlanks
	}
	for _, r := range value {
		switch {
		case !unicode.IsPrint(r), // Cc, Cf, Co, Cn, Zl, Zp, and every blank but U+0020
			r == utf8.RuneError,
			unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), // letters that show nothing
			unicode.Is(unicode.Variation_Selector, r):
			return errCharacter
		case 0x300 <= r && r <= 0x36f, r == 0x2126, r == 0x212a, r == 0x212b, 0xf900 <= r && r <= 0xfaff:
			// Combining accents, the Ohm, Kelvin and Ångström signs, compatibility
			// ideographs: what normal form C composes or replaces, or nearly always does.
			return errNFC
		}
	}
	return nil
}
