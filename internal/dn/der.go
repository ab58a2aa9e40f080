package dn

import (
	"errors"
	"strconv"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	errDER = errors.New("the subject is not DER")
)

// stringTypeError is a value of a string type that is not read.
type stringTypeError struct {
	oid string // of the attribute; empty for a value without one
	tag der.Tag
}

func (e *stringTypeError) Error() string {
	attribute := "a value of the subject"
	if keyword, ok := keywordOf[e.oid]; ok {
		attribute = keyword + " in the subject"
	} else if e.oid != "" {
		attribute = dotted(e.oid) + " in the subject"
	}
	name, ok := stringTypes[e.tag]
	if !ok {
		name = "with the tag " + strconv.Itoa(int(e.tag))
	}
	return attribute + " is of the type " + name + ": a mapping matches PrintableString, UTF8String and IA5String only"
}

// stringTypes are the string types that are not read.
var stringTypes = map[der.Tag]string{
	18: "NumericString", der.T61String: "T61String", 21: "VideotexString", 25: "GraphicString", 26: "VisibleString",
	der.GeneralString: "GeneralString", 28: "UniversalString", 30: "BMPString", der.BIT_STRING: "BIT STRING", der.OCTET_STRING: "OCTET STRING",
}

// FromDER reads a subject from its DER (RFC 5280 section 4.1.2.6), such as
// x509.Certificate.RawSubject. It does not use pkix.Name, which loses attributes and
// their order.
//
// The error gives the reason why no mapping can match the name: it is empty or too large,
// or CheckValue rejects a value, or a value is of another string type than
// PrintableString, UTF8String and IA5String.
func FromDER(raw []byte) (Name, error) {
	var buffer [1024]byte
	key, err := AppendDER(buffer[:0], raw)
	if err != nil {
		return Name{}, err
	}
	return Name{string(key)}, nil
}

// AppendDER appends the key of a subject in DER: FromDER without an allocation.
func AppendDER(key, raw []byte) ([]byte, error) {
	rest := cryptobyte.String(raw)
	var sequence cryptobyte.String
	if !rest.ReadASN1(&sequence, der.SEQUENCE) || !rest.Empty() {
		return nil, errDER
	}
	var sets [maxAttributes]cryptobyte.String
	n := 0
	for !sequence.Empty() {
		var set cryptobyte.String
		switch {
		case !sequence.ReadASN1(&set, der.SET) || set.Empty():
			return nil, errDER
		case n == len(sets):
			return nil, errAttributes
		}
		sets[n] = set
		n++
	}
	if n == 0 {
		return nil, errEmptyName
	}
	left := maxAttributes
	for i := n - 1; i >= 0; i-- { // the last RDN is the most specific
		var err error
		if key, err = appendSet(key, sets[i], &left); err != nil {
			return nil, err
		}
	}
	return key, nil
}

// appendSet appends one RDN and counts its attributes down from left. The usual RDN of
// one attribute needs no sorting and no copy.
func appendSet(key []byte, set cryptobyte.String, left *int) ([]byte, error) {
	oid, value, err := readAttribute(&set)
	if err != nil {
		return nil, err
	}
	if *left--; *left < 0 {
		return nil, errAttributes
	}
	if set.Empty() {
		key = append(key, 1, byte(len(oid)))
		key = append(key, oid...)
		key = append(key, byte(len(value)>>8), byte(len(value)))
		return append(key, value...), nil
	}
	attributes := []Attribute{{string(oid), string(value)}}
	for !set.Empty() {
		if oid, value, err = readAttribute(&set); err != nil {
			return nil, err
		}
		if *left--; *left < 0 {
			return nil, errAttributes
		}
		attributes = append(attributes, Attribute{string(oid), string(value)})
	}
	return appendRDN(key, attributes), nil
}

// readAttribute reads one AttributeTypeAndValue from the front of set.
func readAttribute(set *cryptobyte.String) (oid, value []byte, err error) {
	var pair, id cryptobyte.String
	if !set.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1(&id, der.OBJECT_IDENTIFIER) || !validOID(id) {
		return nil, nil, errDER
	}
	value, err = readString(pair)
	if wrong := (*stringTypeError)(nil); errors.As(err, &wrong) {
		wrong.oid = string(id)
	}
	return id, value, err
}

// readString reads the DER of one string value. The other string types are rejected,
// because programs disagree on their text: T61String has no one meaning.
func readString(raw cryptobyte.String) ([]byte, error) {
	var value cryptobyte.String
	var tag der.Tag
	if !raw.ReadAnyASN1(&value, &tag) || !raw.Empty() {
		return nil, errDER
	}
	switch tag {
	case der.UTF8String:
	case der.PrintableString, der.IA5String:
		for _, c := range value {
			if c >= 0x80 {
				return nil, errUTF8
			}
		}
	default:
		return nil, &stringTypeError{tag: tag}
	}
	return value, CheckValue([]byte(value))
}
