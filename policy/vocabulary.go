package policy

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// knownMethods are those that every policy knows, in the order of their bits.
var knownMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

const (
	bitGET uint32 = 1 << iota
	bitHEAD
	bitPOST
	bitPUT
	bitPATCH
	bitDELETE
	bitOPTIONS
	firstExtra
)

const maxMethods = 32 // bits of a mask

// vocabulary is which ports and methods exist.
type vocabulary struct {
	ports   []string // sorted
	limited bool     // only these ports exist
	extra   []string // as the options said; after check, in the order of their bits
	lax     bool     // Read alone does not know the extra methods
}

func (v *vocabulary) limitPorts(names []string) {
	v.limited = true
	v.ports = append(v.ports, names...)
	slices.Sort(v.ports)
	v.ports = slices.Compact(v.ports)
}

// settle drops repeated methods and returns what is wrong with the rest.
func (v *vocabulary) settle() (what, hint string) {
	given := v.extra
	v.extra = nil
	for _, m := range given {
		switch {
		case !methodToken(m):
			return escape.Quote(m, escape.Short) + " cannot be a method", "methods are upper-case words"
		case slices.Contains(knownMethods, m), slices.Contains(v.extra, m):
			continue
		case len(knownMethods)+len(v.extra) == maxMethods:
			return "there are more than 32 methods", ""
		}
		v.extra = append(v.extra, m)
	}
	return "", ""
}

// methodToken reports whether m is an upper-case token (RFC 9110 section 5.6.2)
// that can stand in a rule.
func methodToken(m string) bool {
	if m == "" || len(m) > maxName {
		return false
	}
	for i := range len(m) {
		switch b := m[i]; {
		case 'A' <= b && b <= 'Z', i > 0 && ('0' <= b && b <= '9' || b == '-' || b == '_'):
		default:
			return false
		}
	}
	return true
}

// bit returns the bit of a request's method, or 0 for one that is not known.
func (v *vocabulary) bit(method string) uint32 {
	switch method {
	case "GET":
		return bitGET
	case "HEAD":
		return bitHEAD
	case "POST":
		return bitPOST
	case "PUT":
		return bitPUT
	case "PATCH":
		return bitPATCH
	case "DELETE":
		return bitDELETE
	case "OPTIONS":
		return bitOPTIONS
	}
	for i, m := range v.extra {
		if m == method {
			return firstExtra << i
		}
	}
	return 0
}

// mask returns the bits that a rule's method covers, or what is wrong with it.
func (v *vocabulary) mask(method string) (mask uint32, what, hint string) {
	if method == "*" {
		return firstExtra<<len(v.extra) - 1, "", ""
	}
	if method == "" {
		return 0, "the method is empty", `write * for every method, or names like GET|POST`
	}
	for m := range strings.SplitSeq(method, "|") {
		bit := v.bit(m)
		switch {
		case bit == bitGET:
			mask |= bitGET | bitHEAD
		case bit != 0:
			mask |= bit
		case m == "":
			return 0, "the method " + escape.Quote(method, escape.Short) + " has an empty alternative", "write names with one | between them"
		case m == "*":
			return 0, "the method " + escape.Quote(method, escape.Short) + " mixes * with names", "* stands alone"
		case v.lax && methodToken(m):
		default:
			return 0, "the method " + escape.Quote(m, escape.Short) + " is not known", v.methodHint(m)
		}
	}
	return mask, "", ""
}

func (v *vocabulary) methodHint(m string) string {
	if better := strings.ToUpper(strings.TrimSpace(m)); v.bit(better) != 0 {
		return "write " + better + ": methods have a case, and there are no blanks around |"
	}
	return "known are " + strings.Join(append(slices.Clone(knownMethods), v.extra...), " ")
}

// checkPort returns what is wrong with a rule's port and how to mend it, or "".
func (v *vocabulary) checkPort(port string) (what, hint string) {
	const one = "a rule names one port, or * for all of them"
	switch {
	case port == "*":
		return "", ""
	case port == "":
		return "the port is empty", one
	case v.limited && slices.Contains(v.ports, port) && !strings.ContainsAny(port, ",\"\r\n"):
		return "", ""
	case strings.ContainsAny(port, `*|,"' `+"\t"), len(port) > maxName, hasControl(port):
		return "the port " + escape.Quote(port, escape.Short) + " is not a name", one
	case v.limited:
		known := strings.Join(v.ports, ", ")
		if known == "" {
			return "there is no port " + escape.Quote(port, escape.Short), "no port has a name"
		}
		return "there is no port " + escape.Quote(port, escape.Short), "ports are: " + known
	}
	return "", ""
}
