package middleware

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/mtlsguard/mtlsguard/reason"
)

// checkTarget refuses a request whose target or host can be read in two ways, and one that
// came by no port.
func (s *snapshot) checkTarget(c *call) bool {
	r := c.request
	c.Method, c.Generation = r.Method, s.Generation
	if c.port == nil {
		// Fail closed: something between the port and the guard hides the connection, and
		// with it whatever certificate there was.
		c.Path = sentPath(r)
		c.refuse(reason.NoPort, "the request did not come through a port: call Port.Configure on the http.Server, and wrap nothing around the listener")
		return false
	}
	path, err := readTarget(r, c.port)
	if err == nil {
		err = c.port.checkNames(c.serverName(), r.Host)
	}
	if err != nil {
		c.Path = sentPath(r)
		if c.conn != nil && c.hop == nil {
			c.Verified, _ = c.conn.VerifiedBy(r.Context(), s.verifier(c.conn, c.port)) // for the log: the request still has no user
		}
		refusal := err.(*reason.Refusal) // both return nothing else
		c.refuse(refusal.Reason, refusal.Detail)
		return false
	}
	c.Path = path
	return true
}

// checkRewritten refuses a request that was rewritten between Identify and Authorize into one
// that can be read in two ways. Authorize decides about what is served at its place.
func (s *snapshot) checkRewritten(c *call) bool {
	r := c.request
	why := ""
	if r.Method != c.Method {
		c.Method = r.Method
		if !c.port.knows(r.Method) {
			why = "the method is not known"
		}
	}
	if path := r.URL.Path; why == "" && path != c.Path {
		c.Path = path
		why = checkDecoded(path)
	}
	if why == "" {
		why = checkRouted(r)
	}
	if why != "" {
		c.refuse(reason.AmbiguousPath, why)
		return false
	}
	return true
}

// readTarget returns the decoded path of a request target. A target that could be read in
// two ways is an error: the path that is authorized must be the path that is served.
func readTarget(r *http.Request, p *port) (string, error) {
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
	raw, _, _ = strings.Cut(raw, "?") // no decision depends on the query
	if why := checkEscaped(raw); why != "" {
		return "", ambiguous(why)
	}
	path := r.URL.Path
	if why := checkDecoded(path); why != "" {
		return "", ambiguous(why)
	}
	if p.servedElsewhere() { // servlet containers remove parameters, and then the segment
		if strings.Contains(path, "/.;") || strings.Contains(path, "/..;") {
			return "", ambiguous("the path has a dot segment with parameters")
		}
		if strings.Contains(path, "/;") {
			return "", ambiguous("the path has an empty segment with parameters")
		}
	}
	if why := checkRouted(r); why != "" {
		return "", ambiguous(why)
	}
	return path, nil
}

// checkRouted returns what is wrong where a chi router outside has routed, or will route, by
// another method or path than the one that is authorized.
func checkRouted(r *http.Request) string {
	c := chi.RouteContext(r.Context())
	if c == nil {
		return ""
	}
	if m := c.RouteMethod; m != "" && m != r.Method && (m != http.MethodGet || r.Method != http.MethodHead) {
		return "the method was overridden for routing, before the guard" // a HEAD is authorized, and may be served, as a GET
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

// target returns the request target as it was sent.
func target(r *http.Request) string {
	if r.RequestURI == "" {
		return r.URL.RequestURI() // a request that no server read, as in a test
	}
	return r.RequestURI
}

// sentPath returns the target without its query.
func sentPath(r *http.Request) string {
	path, _, _ := strings.Cut(target(r), "?")
	return path
}

func ambiguous(why string) error { return reason.Refuse(reason.AmbiguousPath, why) }

// checkEscaped returns what is wrong with the path as it was sent.
func checkEscaped(raw string) string {
	first := strings.IndexByte(raw, '%')
	if first < 0 {
		return ""
	}
	for i := first; i < len(raw); i++ {
		if raw[i] != '%' {
			continue // unescaped bytes are checked in the decoded path
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

// checkDecoded returns what is wrong with the path that will be served.
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
