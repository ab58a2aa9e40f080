package middleware

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/reason"
)

// checkTarget refuses a request target that could be read in two ways: what is
// authorised must be what is served. It returns the path that both are about, the
// decoded one.
func checkTarget(r *http.Request, p *port) (string, error) {
	if !p.knows(r.Method) {
		return "", ambiguous("the method is not known")
	}
	raw := target(r)
	if raw == "*" && r.Method == http.MethodOptions {
		return raw, nil // RFC 9110 section 9.3.7
	}
	if raw == "" || raw[0] != '/' {
		return "", ambiguous("the target does not begin with a slash") // also absolute form, and CONNECT to an authority
	}
	if strings.IndexByte(raw, '#') >= 0 {
		return "", ambiguous("the target has a fragment")
	}
	raw, _, _ = strings.Cut(raw, "?") // the query never counts
	if why := checkEscaped(raw); why != "" {
		return "", ambiguous(why)
	}
	path := r.URL.Path
	if why := checkDecoded(path); why != "" {
		return "", ambiguous(why)
	}
	if why := checkRouted(r); why != "" {
		return "", ambiguous(why)
	}
	return path, nil
}

// checkRouted refuses what a chi router outside has routed, or will route, by
// another method or path than the one that is authorised.
func checkRouted(r *http.Request) string {
	c := chi.RouteContext(r.Context())
	if c == nil {
		return ""
	}
	if m := c.RouteMethod; m != "" && m != r.Method && (m != http.MethodGet || r.Method != http.MethodHead) {
		return "the method was overridden for routing, before the guard" // a HEAD may be served as the GET that it is authorised as
	}
	if r.URL.RawPath != "" && (c.RoutePath != "" || len(c.RoutePatterns) > 0) {
		return "the path was routed in its escaped form, before the guard"
	}
	// Below a mount RoutePath is the rest of the path, and "/" for the mount itself.
	if c.RoutePath != "" && c.RoutePath != "/" && !strings.HasSuffix(r.URL.Path, c.RoutePath) {
		return "the path was rewritten for routing, before the guard"
	}
	return ""
}

// target is the request target as it was sent.
func target(r *http.Request) string {
	if r.RequestURI == "" {
		return r.URL.RequestURI() // a request that no server read, in a test say
	}
	return r.RequestURI
}

// sentPath is the target without its query.
func sentPath(r *http.Request) string {
	path, _, _ := strings.Cut(target(r), "?")
	return path
}

func ambiguous(why string) error { return reason.Refuse(reason.AmbiguousPath, why) }

// checkEscaped looks at the path as it was sent.
func checkEscaped(raw string) string {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			continue // what stands unescaped is looked at in the decoded path
		}
		if i+2 >= len(raw) {
			return "the path has a broken escape"
		}
		hi, lo := unhex(raw[i+1]), unhex(raw[i+2])
		if hi > 15 || lo > 15 {
			return "the path has a broken escape"
		}
		switch c := hi<<4 | lo; {
		case c == '/':
			return "the path has an encoded slash"
		case c == '\\':
			return "the path has an encoded backslash"
		case c == '.':
			return "the path has an encoded dot"
		case c < 0x20 || c == 0x7f:
			return "the path has an encoded control byte"
		}
		i += 2
	}
	return ""
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// checkDecoded looks at the path that will be served.
func checkDecoded(path string) string {
	if path == "" || path[0] != '/' {
		return "the path does not begin with a slash"
	}
	ascii := true
	start := 1 // of the segment
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			switch segment := path[start:i]; {
			case segment == "" && i < len(path):
				return "the path has an empty segment"
			case segment == "." || segment == "..":
				return "the path has a dot segment"
			}
			start = i + 1
			continue
		}
		switch c := path[i]; {
		case c == '\\':
			return "the path has a backslash"
		case c < 0x20 || c == 0x7f:
			return "the path has a control byte"
		case c >= 0x80:
			ascii = false
		}
	}
	if ascii {
		return ""
	}
	if !utf8.ValidString(path) {
		return "the path is not UTF-8"
	}
	if strings.ContainsFunc(path, unicode.IsControl) {
		return "the path has a control character"
	}
	return ""
}

// checkNames refuses a request whose connection or Host is about another name than
// the port serves (RFC 9110 section 15.5.20). Without names every name will do.
func (p *port) checkNames(sni, host string) error {
	if p.names == nil {
		return nil
	}
	host = hostname.Canonical(host)
	if sni == "" && hostname.IsIP(host) {
		sni = host // a client sends no name for an address (RFC 6066 section 3)
	}
	if !p.names[hostname.Canonical(sni)] {
		return reason.Refuse(reason.Misdirected, "the connection was made to a name that this port does not serve")
	}
	if !p.names[host] {
		return reason.Refuse(reason.Misdirected, "the request is for a host that this port does not serve")
	}
	return nil
}
