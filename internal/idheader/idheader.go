// Package idheader lists the headers that name a caller.
//
// Gateways forward a certificate or name a user in them. A server that cannot be sure that
// a gateway set them deletes them: in every spelling, because the next hop may
// take one name for another.
package idheader

// names are the headers in which gateways forward a certificate or name a user, as
// Fold returns them.
var names = map[string]bool{
	"client-cert":                    true, // RFC 9440
	"client-cert-chain":              true,
	"x-arr-clientcert":               true,
	"remote-user":                    true, // CGI; Authelia and similar programs
	"remote-name":                    true,
	"remote-email":                   true,
	"remote-groups":                  true,
	"x-remote-uid":                   true,
	"x-forwarded-user":               true, // oauth2-proxy
	"x-forwarded-groups":             true,
	"x-forwarded-email":              true,
	"x-forwarded-preferred-username": true,
	"x-forwarded-access-token":       true,
	"x-auth-user":                    true,
	"x-auth-username":                true,
	"x-auth-name":                    true,
	"x-auth-email":                   true,
	"x-auth-groups":                  true,
	"x-auth-roles":                   true,
	"x-auth-subject":                 true,
	"x-user":                         true,
	"x-user-id":                      true,
	"x-user-name":                    true,
	"x-user-email":                   true,
	"x-user-groups":                  true,
	"x-user-roles":                   true,
	"x-userid":                       true,
	"x-username":                     true,
	"x-authentik-jwt":                true,
	"x-credential-identifier":        true, // Kong
	"x-credential-username":          true,
	"x-anonymous-consumer":           true,
	"x-goog-iap-jwt-assertion":       true,
	"x-jwt-assertion":                true,
	"x-endpoint-api-userinfo":        true, // Google's Endpoints and API Gateway
	"x-apigateway-api-userinfo":      true,
}

// prefixes are families of such headers.
var prefixes = []string{
	"client-cert-", "x-client-cert", "x-client-verify", "x-client-dn", "x-client-cn", "x-client-subject", "x-client-issuer",
	"ssl-client-", "x-ssl-", "x-amzn-mtls-", "cf-client-cert-", "cf-cert-", "cloudfront-viewer-cert-",
	"x-forwarded-client-cert", "x-forwarded-tls-client-cert", "x-forwarded-ssl-client-", "x-auth-request-", "x-mtls-", "x-mtlsguard-", "x-tls-client-",
	"x-remote-user", "x-remote-group", "x-remote-extra-", "x-remote-name", "x-remote-email", // Kubernetes and CGI bridges
	"x-webauth-", "x-authenticated-", "x-consumer-", // Grafana and similar programs; Kong
	"x-ms-client-principal", "x-ms-token-", // Azure App Service
	"x-amzn-oidc-",               // AWS ALB
	"cf-access-",                 // Cloudflare
	"x-goog-authenticated-user-", // Google IAP
	"x-pomerium-", "x-authentik-", "x-vouch-", "x-token-user-", "tailscale-user-",
}

// prefixesByByte are the prefixes by their third byte, which differs most.
var families = func() (f ['z' + 1][]string) {
	for _, p := range prefixes {
		f[p[telling]] = append(f[p[telling]], p)
	}
	return f
}()

const telling = 2

// longest bounds the bytes of a name that are folded on the stack.
const longest = 64

// Is reports whether a header of this name, in any spelling, names a caller. It allocates
// nothing.
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
	if len(folded) <= telling || folded[telling] > 'z' {
		return false
	}
	for _, p := range families[folded[telling]] {
		if len(folded) >= len(p) && string(folded[:len(p)]) == p {
			return true
		}
	}
	return false
}

// Fold returns one spelling for all spellings of a header name: lower case, with dashes for
// underscores and dots, because the next hop may treat them alike.
func Fold(name string) string {
	var buf [longest]byte
	return string(appendFolded(buf[:0], name))
}

// Same reports whether two names are spellings of the same header. It allocates nothing.
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
