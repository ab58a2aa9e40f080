package outbound

import (
	"net"
	"net/url"
	"strings"
)

// origin is scheme, host and port (RFC 6454 section 4). Hosts are compared in ASCII
// without case. Another spelling of the same host (a trailing dot, an IP address with
// zeros, Unicode) is another origin, so in doubt no certificate is sent.
type origin struct{ scheme, host, port string }

// originOf returns the origin of a URL. It allocates nothing.
func originOf(u *url.URL) origin {
	o := origin{u.Scheme, u.Hostname(), u.Port()}
	if o.port == "" {
		switch {
		case equalFold(o.scheme, "https"):
			o.port = "443"
		case equalFold(o.scheme, "http"):
			o.port = "80"
		}
	}
	return o
}

const originForm = "https://host or https://host:port"

// parseOrigin parses an origin in originForm. problem is "" if text is an origin.
func parseOrigin(text string) (o origin, problem string) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return origin{}, "this is not a URL"
	case !equalFold(u.Scheme, "https"):
		return origin{}, "a certificate is presented over https only"
	case u.Hostname() == "" || u.Opaque != "":
		return origin{}, "the host is missing"
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		return origin{}, "an origin has a scheme, a host and a port only"
	case strings.HasSuffix(u.Host, ":"):
		return origin{}, "the port is missing after the colon"
	}
	for i := range len(u.Host) {
		if b := u.Host[i]; b <= ' ' || b >= 0x7f {
			return origin{}, "the host is not in ASCII (xn--…)"
		}
	}
	return originOf(u), ""
}

func (o origin) equal(p origin) bool {
	return equalFold(o.scheme, p.scheme) && o.port == p.port && equalFold(o.host, p.host)
}

func (o origin) in(list []origin) bool {
	for _, p := range list {
		if o.equal(p) {
			return true
		}
	}
	return false
}

// String returns the origin in lower case, without the default port of its scheme.
func (o origin) String() string {
	host := strings.ToLower(o.host)
	switch {
	case o.port != "" && !(equalFold(o.scheme, "https") && o.port == "443") && !(equalFold(o.scheme, "http") && o.port == "80"):
		host = net.JoinHostPort(host, o.port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return strings.ToLower(o.scheme) + "://" + host
}

// equalFold reports whether a and b are equal but for ASCII case. strings.EqualFold would
// also take the Kelvin sign for a k.
func equalFold(a, b string) bool {
	if a == b {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + ('a' - 'A')
	}
	return b
}
