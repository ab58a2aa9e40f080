package dn

import (
	"encoding/hex"
	"iter"
	"slices"
	"strings"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Name is a subject as mappings compare it: relative distinguished names in the order
// of RFC 4514 (the most specific first, the reverse of the certificate's order), each a
// set of attributes with exact values. == compares two names, and a Name may be the key
// of a map. The zero Name is not a name. Parse and FromDER return a Name.
type Name struct{ key string }

// Limits of a subject. No setting changes them: they bound the cost of a look-up.
const (
	maxAttributes = 64
	maxValue      = 256
	maxOID        = 64
)

// Attribute is a type, as the content of a DER OBJECT IDENTIFIER, and a value.
type Attribute struct{ OID, Value string }

// Placeholder is the value that stands for {user} in the key of a pattern. No
// certificate holds it, because names with control characters are rejected.
const Placeholder = "\x00"

// Key returns the name as one string, which differs for different names. For each RDN
// it holds the number of attributes and then, for each attribute in sorted order: the
// length of the OID (one byte), the OID, the length of the value (two bytes), the value.
// The lengths make the key unambiguous for every value.
func (n Name) Key() string { return n.key }

// FromKey returns the name of a key. The key must come from Key, or from AppendDER.
func FromKey(key string) Name { return Name{key} }

// appendRDN appends one RDN to a key. It sorts the attributes in place.
func appendRDN(key []byte, set []Attribute) []byte {
	if len(set) > 1 {
		slices.SortFunc(set, compareAttributes)
	}
	key = append(key, byte(len(set)))
	for _, a := range set {
		key = append(key, byte(len(a.OID)))
		key = append(key, a.OID...)
		key = append(key, byte(len(a.Value)>>8), byte(len(a.Value)))
		key = append(key, a.Value...)
	}
	return key
}

func compareAttributes(a, b Attribute) int {
	if c := strings.Compare(a.OID, b.OID); c != 0 {
		return c
	}
	return strings.Compare(a.Value, b.Value)
}

// Span locates one attribute in a key: key[OID:OIDEnd] is its type and
// key[Value:ValueEnd] its value.
type Span struct{ OID, OIDEnd, Value, ValueEnd int }

// Spans returns the attributes of a key, each with the index of its RDN.
func Spans[T string | []byte](key T) iter.Seq2[int, Span] {
	return func(yield func(int, Span) bool) {
		rdn := 0
		for at := 0; at < len(key); rdn++ {
			n := int(key[at])
			at++
			for range n {
				oid := at + 1
				oidEnd := oid + int(key[at])
				value := oidEnd + 2
				at = value + int(key[oidEnd])<<8 + int(key[oidEnd+1])
				if !yield(rdn, Span{oid, oidEnd, value, at}) {
					return
				}
			}
		}
	}
}

// HasOnce reports whether exactly one attribute of a key has this type. Where there are
// two, choosing one of them to name the user would be a guess.
func HasOnce[T string | []byte](key T, oid string) bool {
	n := 0
	for _, s := range Spans(key) {
		if string(key[s.OID:s.OIDEnd]) == oid {
			n++
		}
	}
	return n == 1
}

// AppendWithPlaceholder appends a key with the value at s replaced by Placeholder. The
// type of that attribute must occur once in the key: then the order within its RDN does
// not depend on the value.
func AppendWithPlaceholder(to, key []byte, s Span) []byte {
	to = append(to, key[:s.OIDEnd]...)
	to = append(to, 0, byte(len(Placeholder)))
	to = append(to, Placeholder...)
	return append(to, key[s.ValueEnd:]...)
}

// RDNs returns the name as sets of attributes, in the order of RFC 4514.
func (n Name) RDNs() [][]Attribute {
	var out [][]Attribute
	for rdn, s := range Spans(n.key) {
		if rdn == len(out) {
			out = append(out, nil)
		}
		out[rdn] = append(out[rdn], Attribute{n.key[s.OID:s.OIDEnd], n.key[s.Value:s.ValueEnd]})
	}
	return out
}

// String returns the RFC 4514 text of the name. Parse reads it back as an equal name.
// An attribute type without a known keyword is written in the dotted and #hex form of
// RFC 4514 section 2.4.
func (n Name) String() string {
	var b strings.Builder
	b.Grow(len(n.key))
	last := -1
	for rdn, s := range Spans(n.key) {
		switch {
		case rdn == last:
			b.WriteByte('+')
		case last >= 0:
			b.WriteByte(',')
		}
		last = rdn
		Attribute{n.key[s.OID:s.OIDEnd], n.key[s.Value:s.ValueEnd]}.write(&b)
	}
	return b.String()
}

// String returns TYPE=VALUE, as RFC 4514 writes it.
func (a Attribute) String() string {
	var b strings.Builder
	a.write(&b)
	return b.String()
}

func (a Attribute) write(b *strings.Builder) {
	keyword, known := keywordOf[a.OID]
	switch {
	case known:
		b.WriteString(keyword + "=")
		writeValue(b, a.Value)
	case a.Value == Placeholder:
		b.WriteString(dotted(a.OID) + "=" + username.Variable)
	default:
		b.WriteString(dotted(a.OID) + "=#")
		raw := []byte{byte(der.UTF8String)}
		switch n := len(a.Value); { // at most maxValue
		case n >= 0x100:
			raw = append(raw, 0x82, byte(n>>8), byte(n))
		case n >= 0x80:
			raw = append(raw, 0x81, byte(n))
		default:
			raw = append(raw, byte(n))
		}
		b.WriteString(hex.EncodeToString(append(raw, a.Value...)))
	}
}

// writeValue writes a value with the escapes of RFC 4514 section 2.4.
func writeValue(b *strings.Builder, value string) {
	if value == Placeholder {
		b.WriteString(username.Variable)
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
