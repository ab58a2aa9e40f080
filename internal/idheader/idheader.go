// Package idheader knows the headers that say who somebody is.
//
// Gateways state a certificate or name a user in them. Whoever cannot be sure that
// a gateway wrote them deletes them: in every spelling, because the next hop may
// take one name for another.
package idheader

// names are the headers by which gateways state a certificate or name a user, as
// Fold writes them.
var names = map[string]bool{
	"client-cert":                    true, // RFC 9440
	"client-cert-chain":              true,
	"x-arr-clientcert":               true,
	"remote-user":                    true,
	"remote-name":                    true,
	"remote-email":                   true,
	"remote-groups":                  true,
	"x-remote-user":                  true,
	"x-remote-uid":                   true,
	"x-remote-group":                 true,
	"x-forwarded-user":               true,
	"x-forwarded-groups":             true,
	"x-forwarded-email":              true,
	"x-forwarded-preferred-username": true,
	"x-webauth-user":                 true,
	"x-authenticated-user":           true,
	"x-authenticated-userid":         true,
	"x-auth-user":                    true,
	"x-user":                         true,
}

// prefixes are families of such headers.
var prefixes = []string{
	"client-cert-", "x-client-cert", "x-client-verify", "x-client-dn", "x-client-cn", "x-client-subject", "x-client-issuer",
	"ssl-client-", "x-ssl-", "x-amzn-mtls-", "cf-client-cert-", "cf-cert-", "cloudfront-viewer-cert-",
	"x-forwarded-client-cert", "x-forwarded-tls-client-cert", "x-forwarded-ssl-client-", "x-auth-request-", "x-remote-extra-", "x-mtls-", "x-tls-client-", "tailscale-user-",
}

// longest bounds what has to be folded on the stack.
const longest = 64

// Is reports whether a header of this name, in any spelling, says who somebody is.
// It allocates nothing.
func Is(name string) bool {
	if name == "" {
		return false
	}
	switch name[0] | 0x20 {
	case 'c', 'r', 's', 't', 'x':
	default:
		return false // every name on the lists begins with one of these letters
	}
	var buf [longest]byte
	folded := appendFolded(buf[:0], name[:min(len(name), longest)])
	if names[string(folded)] {
		return true
	}
	for _, p := range prefixes {
		if len(folded) >= len(p) && string(folded[:len(p)]) == p {
			return true
		}
	}
	return false
}

// Fold brings the spellings of a header name together: case does not count, and
// underscore and dot are dashes, because the next hop may think so too.
func Fold(name string) string {
	var buf [longest]byte
	return string(appendFolded(buf[:0], name))
}

// Same reports whether two names are spellings of one. It allocates nothing.
func Same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if folded(a[i]) != folded(b[i]) {
			return false
		}
	}
	return true
}

func appendFolded(b []byte, name string) []byte {
	for i := range len(name) {
		b = append(b, folded(name[i]))
	}
	return b
}

func folded(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case c == '_' || c == '.':
		return '-'
	}
	return c
}
