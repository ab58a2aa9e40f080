package san

import (
	"errors"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/hostname"
)

// CheckDNS rejects a text that is not a whole DNS name as certificates hold it (RFC 5280
// section 4.2.1.6): letters, digits, hyphens and underscores, no wildcard, no root dot.
func CheckDNS(name string) error {
	switch {
	case name == "":
		return errors.New("the DNS name is empty")
	case strings.Contains(name, "*"):
		return errors.New("a wildcard would match names that you did not choose; write each name")
	case strings.HasSuffix(name, "."):
		return errors.New("a DNS name in a certificate has no trailing dot")
	case !IsDNS(name):
		if ascii := hostname.ToASCII(name); ascii != "" {
			return errors.New("not a DNS name in ASCII, as certificates hold it: write " + ascii)
		}
		return errors.New("not a DNS name: labels of letters, digits, - and _, joined by dots; other scripts as xn--")
	}
	return nil
}

// IsDNS reports whether CheckDNS takes a name. A wildcard is not a DNS name.
func IsDNS[T string | []byte](name T) bool {
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
		case isAlphanumeric(c) || c == '-' || c == '_':
			if label++; label > 63 {
				return false
			}
		default:
			return false
		}
	}
	return label > 0
}

// SplitEmail returns the index of the @ in an address, and false for a text that is not
// an address of one @, in ASCII and without quotes: the rfc822Name of RFC 5280 section
// 4.2.1.6 without its quoted local parts.
func SplitEmail[T string | []byte](address T) (at int, ok bool) {
	at = -1
	for i := range len(address) {
		c := address[i]
		if c == '@' {
			if at >= 0 {
				return 0, false
			}
			at = i
			continue
		}
		// atext and dot of RFC 5322 section 3.2.3
		if at < 0 && !isAlphanumeric(c) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) < 0 {
			return 0, false
		}
	}
	if at <= 0 || at > 64 || !IsDNS(address[at+1:]) {
		return 0, false
	}
	return at, true
}

// AppendDNSKey appends the form in which DNS names are compared: ASCII letters in lower
// case. Nothing else is folded: the Kelvin sign is not a k.
func AppendDNSKey[T string | []byte](to []byte, name T) []byte {
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

// AppendEmailKey appends the form in which addresses are compared: the domain in lower
// case. at is the index of the @.
func AppendEmailKey[T string | []byte](to []byte, address T, at int) []byte {
	to = append(to, address[:at+1]...)
	return AppendDNSKey(to, address[at+1:])
}
