package policy

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/method"
)

// Option sets which ports and methods rules may name.
type Option func(*vocabulary)

// WithPorts names the ports that exist: a rule for any other port is an error. Given
// twice, it adds to the list. Without it a rule may name any port.
func WithPorts(names ...string) Option {
	return func(v *vocabulary) { v.addPorts(names) }
}

// WithMethods adds methods to GET HEAD POST PUT PATCH DELETE OPTIONS: upper-case tokens
// of at most 32 bytes such as PROPFIND, and at most 25 of them. Rules may name them,
// and "*" covers them.
func WithMethods(extra ...string) Option {
	return func(v *vocabulary) { v.extra = append(v.extra, extra...) }
}

// usualMethods are the methods that every policy knows, in the order of their bits.
var usualMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

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

// vocabulary is the ports and methods that exist.
type vocabulary struct {
	ports   []string // sorted
	limited bool     // no other ports exist
	extra   []string // as given to WithMethods; after compileMethods, in the order of their bits
}

func (v *vocabulary) addPorts(names []string) {
	v.limited = true
	v.ports = append(v.ports, names...)
	slices.Sort(v.ports)
	v.ports = slices.Compact(v.ports)
}

// compileMethods drops repeated methods and returns the first error in the others.
func (v *vocabulary) compileMethods() (wrong, hint string) {
	given := v.extra
	v.extra = nil
	for _, m := range given {
		switch {
		case !method.Valid(m):
			return "WithMethods: " + escape.Quote(m, escape.Short) + " is not a method", "write " + method.Hint
		case slices.Contains(usualMethods, m), slices.Contains(v.extra, m):
			continue
		case len(usualMethods)+len(v.extra) == maxMethods:
			return "WithMethods: there are more than 32 methods", "7 of the 32 are always known; name at most 25 others"
		}
		v.extra = append(v.extra, m)
	}
	return "", ""
}

// bit returns the bit of a request's method, or 0 for an unknown one.
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

// mask returns the bits that a rule's method covers, or the error in it.
func (v *vocabulary) mask(method string) (mask uint32, wrong, hint string) {
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
			return 0, "the method " + escape.Quote(method, escape.Short) + " has an empty alternative", "write one | between two names"
		case m == "*":
			return 0, "the method " + escape.Quote(method, escape.Short) + " mixes * with names", "write * alone"
		default:
			return 0, "the method " + escape.Quote(m, escape.Short) + " is not known", v.methodHint(m)
		}
	}
	return mask, "", ""
}

func (v *vocabulary) methodHint(m string) string {
	if better := strings.ToUpper(strings.TrimSpace(m)); v.bit(better) != 0 {
		return "write " + better + ": methods are case-sensitive, and there are no blanks around |"
	}
	return "known are " + strings.Join(append(slices.Clone(usualMethods), v.extra...), " ")
}

// matchMethod reports whether the method of a checked rule covers a request's.
func (v *vocabulary) matchMethod(requested, rule string) bool {
	if v.bit(requested) == 0 {
		return false
	}
	if rule == "*" {
		return true
	}
	for m := range strings.SplitSeq(rule, "|") {
		if m == requested || m == "GET" && requested == "HEAD" {
			return true
		}
	}
	return false
}

// maxPort is the longest name of a port in a rule, in bytes.
const maxPort = 128

// checkPort returns the error in a rule's port and a hint, or "".
func (v *vocabulary) checkPort(port string) (wrong, hint string) {
	const form = "a rule names one port, or * for all ports"
	switch {
	case port == "*":
		return "", ""
	case port == "":
		return "the port is empty", form
	case v.limited && slices.Contains(v.ports, port) && !strings.ContainsAny(port, ",\"\r\n"):
		return "", ""
	case strings.ContainsAny(port, `*|,"' `+"\t"), len(port) > maxPort, hasControl(port):
		return "the port " + escape.Quote(port, escape.Short) + " is not a name", form
	case v.limited:
		known := strings.Join(v.ports, ", ")
		if known == "" {
			return "there is no port " + escape.Quote(port, escape.Short), "no port has a name"
		}
		return "there is no port " + escape.Quote(port, escape.Short), "ports are: " + known
	}
	return "", ""
}

func matchPort(requested, rule string) bool { return rule == "*" || requested == rule }
