package certmap

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// ParseSubject reads a name in RFC 4514 text, the most specific attribute first:
// "CN=alice,OU=Staff,O=Acme". Attributes joined by + are one RDN, a set.
//
// Keywords are read in any case; a type may also be a dotted OID. A value may be
// escaped with \ before a special character or before two hex digits, or be # and
// the hex of a DER string. Because people paste what tools print, blanks around
// the separators = , + are passed over, which RFC 4514 does not allow; a blank that
// belongs to a value would have to be escaped, and then the value is refused.
// Quotes and ; of RFC 1779 are not read.
//
// What SubjectOf refuses in a certificate is an error here, because no certificate
// could match.
func ParseSubject(text string) (Name, error) {
	p := textParser{rest: strings.Trim(text, " ")}
	if p.rest == "" {
		return Name{}, errEmptyName
	}
	if len(text) > 64<<10 {
		return Name{}, errors.New("the subject is too long")
	}
	var canon []byte
	for left := maxAttributes; ; {
		var set []attribute
		for more := true; more; {
			if left--; left < 0 {
				return Name{}, errAttributes
			}
			a, err := p.attribute()
			if err != nil {
				return Name{}, err
			}
			set = append(set, a)
			more = p.take('+')
		}
		canon = appendRDN(canon, set)
		if p.rest == "" {
			return Name{string(canon)}, nil
		}
		if !p.take(',') {
			return Name{}, p.unexpected()
		}
	}
}

// textParser eats text from the front.
type textParser struct{ rest string }

func (p *textParser) blanks() { p.rest = strings.TrimLeft(p.rest, " ") }

func (p *textParser) take(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *textParser) unexpected() error {
	if p.rest[0] == ';' {
		return errors.New("; does not separate attributes (RFC 4514 has the comma); in a value write \\;")
	}
	return fmt.Errorf("%s in a value must be written with a \\ before it", escape.Quote(p.rest[:1], escape.Short))
}

func (p *textParser) attribute() (attribute, error) {
	p.blanks()
	end := strings.IndexAny(p.rest, "=,+\\\"")
	if end < 0 || p.rest[end] != '=' {
		return attribute{}, fmt.Errorf("at %s: TYPE=VALUE is wanted", escape.Quote(p.rest, escape.Short))
	}
	keyword := strings.TrimRight(p.rest[:end], " ")
	p.rest = p.rest[end+1:]
	oid, err := attributeType(keyword)
	if err != nil {
		return attribute{}, err
	}
	p.blanks()
	var value string
	if p.take('#') {
		value, err = p.hexValue()
	} else {
		value, err = p.value()
	}
	if err == nil {
		err = checkValue(value)
	}
	if err != nil {
		return attribute{}, fmt.Errorf("%s: %w", escape.Quote(keyword, escape.Short), err)
	}
	return attribute{oid, value}, nil
}

func attributeType(keyword string) (string, error) {
	if oid, ok := oidOf[strings.ToLower(keyword)]; ok && ascii(keyword) {
		return oid, nil
	}
	if keyword != "" && '0' <= keyword[0] && keyword[0] <= '9' {
		oid, err := parseOID(keyword)
		if err != nil {
			return "", fmt.Errorf("%s: %w", escape.Quote(keyword, escape.Short), err)
		}
		return oid, nil
	}
	return "", fmt.Errorf("%s is no known attribute type; write its dotted OID", escape.Quote(keyword, escape.Short))
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 { // ToLower turns the Kelvin sign into a k
			return false
		}
	}
	return true
}

// value reads up to a separator. Blanks before the separator are not part of it
// unless they are escaped.
func (p *textParser) value() (string, error) {
	var b []byte
	keep := 0 // the length that must not be trimmed
	for p.rest != "" {
		c := p.rest[0]
		switch c {
		case ',', '+':
			return string(b[:trimmed(b, keep)]), nil
		case '"':
			return "", errors.New("quotes are not read (RFC 4514 has none); write a \\ before each special character")
		case ';', '<', '>':
			return "", p.unexpected()
		case '\\':
			c, err := p.escape()
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
	return string(b[:trimmed(b, keep)]), nil
}

func trimmed(b []byte, keep int) int {
	n := len(b)
	for n > keep && b[n-1] == ' ' {
		n--
	}
	return n
}

// escape reads \ and what follows: a special character, or two hex digits.
func (p *textParser) escape() (byte, error) {
	if len(p.rest) >= 2 && strings.IndexByte(`\"+,;<> #=`, p.rest[1]) >= 0 {
		c := p.rest[1]
		p.rest = p.rest[2:]
		return c, nil
	}
	if len(p.rest) >= 3 && unhex(p.rest[1]) >= 0 && unhex(p.rest[2]) >= 0 {
		c := byte(unhex(p.rest[1])<<4 | unhex(p.rest[2]))
		p.rest = p.rest[3:]
		return c, nil
	}
	return 0, errors.New("a \\ stands before a special character or two hex digits")
}

// hexValue reads the hex of one DER string.
func (p *textParser) hexValue() (string, error) {
	end := 0
	for end < len(p.rest) && unhex(p.rest[end]) >= 0 {
		end++
	}
	der, err := hex.DecodeString(p.rest[:end])
	p.rest = p.rest[end:]
	p.blanks()
	if err != nil || p.rest != "" && p.rest[0] != ',' && p.rest[0] != '+' {
		return "", errors.New("after # the hex of a DER string is wanted; for a # in a value write \\#")
	}
	value, err := readString(der)
	return string(value), err
}
