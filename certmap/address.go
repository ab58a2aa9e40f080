package certmap

import (
	"errors"
	"strings"
)

// checkDNS wants a whole DNS name, as a certificate states it (RFC 5280 section
// 4.2.1.6): letters, digits, hyphens and underscores, no wildcard, no root dot.
func checkDNS(name string) error {
	switch {
	case name == "":
		return errors.New("the DNS name is empty")
	case strings.Contains(name, "*"):
		return errors.New("a wildcard stands for names that nobody chose; write each name")
	case strings.HasSuffix(name, "."):
		return errors.New("a DNS name in a certificate has no trailing dot")
	case !dnsName(name):
		return errors.New("not a DNS name: labels of letters, digits, - and _, joined by dots; other scripts as xn--")
	}
	return nil
}

func dnsName[T string | []byte](name T) bool {
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
		case alphanumeric(c) || c == '-' || c == '_':
			if label++; label > 63 {
				return false
			}
		default:
			return false
		}
	}
	return label > 0
}

// checkEmail wants an address of exactly one @, in ASCII, with no quotes: the
// rfc822Name of RFC 5280 section 4.2.1.6 without its quoted local parts.
func checkEmail(address string) error {
	if _, ok := splitEmail(address); !ok {
		return errors.New("not an address: LOCAL@DOMAIN in ASCII, one @, no quotes or blanks")
	}
	return nil
}

// splitEmail returns where the @ is. What it refuses in a mapping never matches in
// a certificate either.
func splitEmail[T string | []byte](address T) (at int, ok bool) {
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
		if at < 0 && !alphanumeric(c) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) < 0 {
			return 0, false
		}
	}
	if at <= 0 || at > 64 || !dnsName(address[at+1:]) {
		return 0, false
	}
	return at, true
}

// appendLower appends text with its ASCII letters in lower case. Nothing else is
// folded: the Kelvin sign is no k.
func appendLower[T string | []byte](to []byte, text T) []byte {
	for i := range len(text) {
		c := text[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

// appendEmailKey appends the form in which addresses are compared.
func appendEmailKey[T string | []byte](to []byte, address T, at int) []byte {
	to = append(to, address[:at+1]...)
	return appendLower(to, address[at+1:])
}
