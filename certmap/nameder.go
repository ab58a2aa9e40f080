package certmap

import (
	"crypto/x509"
	"errors"
)

var (
	errDER        = errors.New("the subject is not DER")
	errStringType = errors.New("a value of the subject is of a type other than PrintableString, UTF8String and IA5String")
)

// SubjectOf reads a certificate's subject from its DER (RFC 5280 section 4.1.2.6).
// It never uses pkix.Name, which loses attributes and their order.
//
// The error says why the name is nobody's: it is empty, or too large, or it holds
// a value of another string type than PrintableString, UTF8String and IA5String,
// not in UTF-8, empty, with blanks at its ends or two in a row, or with characters
// that do not show.
func SubjectOf(cert *x509.Certificate) (Name, error) {
	var buffer [1024]byte
	canon, err := appendSubject(buffer[:0], cert.RawSubject)
	if err != nil {
		return Name{}, err
	}
	return Name{string(canon)}, nil
}

// appendSubject appends the canonical form of a subject in DER.
func appendSubject(canon, raw []byte) ([]byte, error) {
	sequence, after, ok := expect(raw, tagSequence)
	if !ok || len(after) > 0 {
		return nil, errDER
	}
	var sets [maxAttributes][]byte
	n := 0
	for len(sequence) > 0 {
		set, rest, ok := expect(sequence, tagSet)
		switch {
		case !ok || len(set) == 0:
			return nil, errDER
		case n == len(sets):
			return nil, errAttributes
		}
		sets[n] = set
		n++
		sequence = rest
	}
	if n == 0 {
		return nil, errEmptyName
	}
	left := maxAttributes
	for i := n - 1; i >= 0; i-- { // the last is the most specific
		var err error
		if canon, err = appendSet(canon, sets[i], &left); err != nil {
			return nil, err
		}
	}
	return canon, nil
}

// appendSet appends one RDN. Nearly all have one attribute, which needs no sorting
// and no copy.
func appendSet(canon, set []byte, left *int) ([]byte, error) {
	oid, value, rest, err := readAttribute(set)
	if err != nil {
		return nil, err
	}
	if *left--; *left < 0 {
		return nil, errAttributes
	}
	if len(rest) == 0 {
		canon = append(canon, 1, byte(len(oid)))
		canon = append(canon, oid...)
		canon = append(canon, byte(len(value)>>8), byte(len(value)))
		return append(canon, value...), nil
	}
	several := []attribute{{string(oid), string(value)}}
	for len(rest) > 0 {
		if oid, value, rest, err = readAttribute(rest); err != nil {
			return nil, err
		}
		if *left--; *left < 0 {
			return nil, errAttributes
		}
		several = append(several, attribute{string(oid), string(value)})
	}
	return appendRDN(canon, several), nil
}

// readAttribute takes one AttributeTypeAndValue off the front of set.
func readAttribute(set []byte) (oid, value, rest []byte, err error) {
	pair, rest, ok := expect(set, tagSequence)
	if !ok {
		return nil, nil, nil, errDER
	}
	oid, typed, ok := expect(pair, tagOID)
	if !ok || !validOID(oid) {
		return nil, nil, nil, errDER
	}
	value, err = readString(typed)
	return oid, value, rest, err
}

// readString reads a value. The text of another string type could be read in more
// than one way (T61String has no one meaning), so it is nobody's.
func readString(typed []byte) ([]byte, error) {
	tag, value, after, ok := element(typed)
	if !ok || len(after) > 0 {
		return nil, errDER
	}
	switch tag {
	case tagUTF8:
	case tagPrintable, tagIA5:
		for _, c := range value {
			if c >= 0x80 {
				return nil, errUTF8
			}
		}
	default:
		return nil, errStringType
	}
	return value, checkValue(value)
}
