package dn

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// Parse reads a name in RFC 4514 text, the most specific attribute first:
// "CN=alice,OU=Staff,O=Acme". Attributes joined by + are one RDN, a set.
//
// Keywords are read in any case; a type may also be a dotted OID, with or without OID.
// before it. A value may be
// escaped with \ before a special character or before two hex digits, or be # and
// the hex of a DER string. Blanks around the separators = , + are skipped, because
// people paste the output of tools; RFC 4514 does not allow these blanks. A blank that
// belongs to a value must be escaped, and then CheckValue rejects the value.
// Quotes and ; of RFC 1779 are not read.
//
// A name that FromDER rejects in a certificate is an error here too, because no
// certificate could match it.
func Parse(text string) (Name, error) {
	p := parser{rest: strings.Trim(text, " ")}
	if p.rest == "" {
		return Name{}, errEmptyName
	}
	if len(text) > maxText {
		return Name{}, errors.New("the subject is too long")
	}
	key := make([]byte, 0, len(text)+16)
	var few [4]Attribute // of most names an RDN has one
	for left := maxAttributes; ; {
		set := few[:0]
		for more := true; more; {
			if left--; left < 0 {
				return Name{}, errAttributes
			}
			a, err := p.readAttribute()
			if err != nil {
				return Name{}, err
			}
			set = append(set, a)
			more = p.take('+')
		}
		key = appendRDN(key, set)
		if p.rest == "" {
			return Name{string(key)}, nil
		}
		if !p.take(',') {
			return Name{}, p.unexpected()
		}
	}
}

// maxText is the longest text that Parse reads, in bytes.
const maxText = 64 << 10

// parser reads text from the front of rest.
type parser struct{ rest string }

func (p *parser) skipBlanks() { p.rest = strings.TrimLeft(p.rest, " ") }

// take skips c where it is the next character, and reports whether it was.
func (p *parser) take(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// unexpected returns the error for a character that cannot stand at the front of rest.
func (p *parser) unexpected() error {
	if p.rest[0] == ';' {
		return errors.New("; does not separate attributes: RFC 4514 uses the comma; in a value write \\;")
	}
	return fmt.Errorf("%s in a value must be written with a \\ before it", escape.Quote(p.rest[:1], escape.Short))
}

// readAttribute reads TYPE=VALUE up to the next separator.
func (p *parser) readAttribute() (Attribute, error) {
	p.skipBlanks()
	end := strings.IndexAny(p.rest, "=,+\\\"")
	if end < 0 || p.rest[end] != '=' {
		return Attribute{}, fmt.Errorf("%s is not TYPE=VALUE", escape.Quote(p.rest, escape.Short))
	}
	keyword := strings.TrimRight(p.rest[:end], " ")
	p.rest = p.rest[end+1:]
	oid, err := attributeType(keyword)
	if err != nil {
		return Attribute{}, err
	}
	p.skipBlanks()
	var value string
	if p.take('#') {
		value, err = p.readHexValue()
	} else {
		value, err = p.readValue()
	}
	if err == nil {
		err = CheckValue(value)
	}
	if err != nil {
		return Attribute{}, fmt.Errorf("%s: %w", escape.Quote(keyword, escape.Short), err)
	}
	return Attribute{oid, value}, nil
}

// attributeType returns the OID in DER of a keyword or of a dotted OID.
func attributeType(keyword string) (string, error) {
	if oid, ok := oidOf[keyword]; ok {
		return oid, nil
	}
	if oid, ok := oidOf[strings.ToLower(keyword)]; ok && isASCII(keyword) {
		return oid, nil
	}
	// keytool writes OID. before a dotted OID, as RFC 2253 section 4 allows.
	number := keyword
	if prefix := "OID."; len(keyword) > len(prefix) && strings.EqualFold(keyword[:len(prefix)], prefix) {
		number = keyword[len(prefix):]
	}
	if number != "" && '0' <= number[0] && number[0] <= '9' {
		oid, err := parseOID(number)
		if err != nil {
			return "", fmt.Errorf("%s: %w", escape.Quote(keyword, escape.Short), err)
		}
		return oid, nil
	}
	if oid, ok := otherTypes[strings.ToLower(keyword)]; ok && isASCII(keyword) {
		return "", fmt.Errorf("%s is not a known attribute type; write its OID: %s", escape.Quote(keyword, escape.Short), oid)
	}
	return "", fmt.Errorf("%s is not a known attribute type; write its dotted OID", escape.Quote(keyword, escape.Short))
}

// isASCII guards ToLower, which turns the Kelvin sign into a k.
func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// readValue reads the text up to a separator. Unescaped blanks before the separator are
// dropped.
func (p *parser) readValue() (string, error) {
	if value, ok := p.readPlainValue(); ok {
		return value, nil
	}
	return p.readEscapedValue()
}

// readEscapedValue is readValue for any value.
func (p *parser) readEscapedValue() (string, error) {
	var b []byte
	keep := 0 // the part that ends with the last escape is not trimmed
	for p.rest != "" {
		c := p.rest[0]
		switch c {
		case ',', '+':
			return string(b[:trimmedLen(b, keep)]), nil
		case '"':
			return "", errors.New("quotes are not read: RFC 4514 has none; write a \\ before each special character")
		case ';', '<', '>':
			return "", p.unexpected()
		case '\\':
			c, err := p.readEscape()
			if err != nil {
				return "", err
			}
			b = append(b, c)
			keep = len(b)
		default:
			b = append(b, c)
			p.rest = p.rest[1:]
		}
		if len(b) > 4*maxValue {
			return "", errLong
		}
	}
	return string(b[:trimmedLen(b, keep)]), nil
}

// readPlainValue is readValue for a value without a special character, which needs no copy. It returns
// false, and has read nothing, for any other value.
func (p *parser) readPlainValue() (string, bool) {
	end := strings.IndexAny(p.rest, `,+";<>\`)
	if end < 0 {
		end = len(p.rest)
	} else if c := p.rest[end]; c != ',' && c != '+' {
		return "", false
	}
	if end > 4*maxValue {
		return "", false
	}
	value := strings.TrimRight(p.rest[:end], " ")
	p.rest = p.rest[end:]
	return value, true
}

// trimmedLen returns the length of b without blanks at its end, but at least keep.
func trimmedLen(b []byte, keep int) int {
	n := len(b)
	for n > keep && b[n-1] == ' ' {
		n--
	}
	return n
}

// readEscape reads \ with the special character or the two hex digits behind it.
func (p *parser) readEscape() (byte, error) {
	if len(p.rest) >= 2 && strings.IndexByte(`\"+,;<> #=`, p.rest[1]) >= 0 {
		c := p.rest[1]
		p.rest = p.rest[2:]
		return c, nil
	}
	if len(p.rest) >= 3 {
		if c, err := hex.DecodeString(p.rest[1:3]); err == nil {
			p.rest = p.rest[3:]
			return c[0], nil
		}
	}
	return 0, errors.New("a \\ must stand before a special character or two hex digits")
}

// readHexValue reads the hex of one DER string.
func (p *parser) readHexValue() (string, error) {
	digits := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, "0123456789abcdefABCDEF"))]
	der, err := hex.DecodeString(digits)
	p.rest = p.rest[len(digits):]
	p.skipBlanks()
	if err != nil || p.rest != "" && p.rest[0] != ',' && p.rest[0] != '+' {
		return "", errors.New("the value after # is not the hex of a DER string; for a # in a value write \\#")
	}
	value, err := readString(der)
	return string(value), err
}
