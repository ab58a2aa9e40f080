// Package hostname compares the names of hosts: SNI, the Host of a request, and those
// that a configuration names.
package hostname

import (
	"net/netip"
	"strings"
)

// MaxLen is the longest DNS name, in bytes (RFC 1035 section 2.3.4).
const MaxLen = 253

// Hint is the hint of an error: it describes a valid name.
const Hint = "a whole name such as api.acme.example, or an IP address, without port or wildcard; a name in other letters is written in its xn-- form"

// Canonical returns a host as it is compared: without port, brackets and one trailing
// dot, with ASCII letters in lower case, and an IP address as netip prints it. Other
// letters stay as they are: they are no host's, and must not become one by folding. It
// allocates nothing for a name in lower case.
func Canonical(host string) string {
	if inside, ok := strings.CutPrefix(host, "["); ok { // [::1] or [::1]:443
		address, after, ok := strings.Cut(inside, "]")
		if !ok || after != "" && !isPort(after) {
			return lower(host) // not a host; it compares with nothing
		}
		host = address
	} else if i := strings.IndexByte(host, ':'); i >= 0 && isPort(host[i:]) {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	if strings.IndexByte(host, ':') >= 0 || host != "" && '0' <= host[len(host)-1] && host[len(host)-1] <= '9' {
		if a, err := netip.ParseAddr(host); err == nil {
			return a.Unmap().String()
		}
	}
	return lower(host)
}

// IsIP reports whether a canonical host is an IP address.
func IsIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// Valid reports whether a configuration may name a host, in canonical form: a DNS name
// of letters, digits, dashes and underscores, or an IP address without a zone.
func Valid(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Zone() == ""
	}
	if host == "" || len(host) > MaxLen {
		return false
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" || '0' <= last[0] && last[0] <= '9' || strings.IndexByte(last, '_') >= 0 {
		return false // 1.2.3 would be an address to some, and a name to others
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return true
}

// HasPort reports whether a host was written with a port, which a configured name has
// not.
func HasPort(host string) bool {
	if _, after, ok := strings.Cut(host, "]"); ok {
		return after != ""
	}
	return strings.Count(host, ":") == 1
}

// isPort reports whether text is a colon and digits, or a colon alone, as net/http
// takes it.
func isPort(text string) bool {
	return text[0] == ':' && strings.Trim(text[1:], "0123456789") == ""
}

func lower(host string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, host)
}
