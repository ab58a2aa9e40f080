package middleware

import (
	"io"
	"net/http"
)

// identityHeaders are the headers by which gateways state a certificate or name a
// user, folded as fold does. They are deleted from every request: nobody may say
// who they are by a header.
var identityHeaders = map[string]bool{
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

// identityPrefixes are the families of such headers.
var identityPrefixes = []string{
	"client-cert-", "x-client-cert", "x-client-verify", "x-client-dn", "x-client-cn", "x-client-subject", "x-client-issuer",
	"ssl-client-", "x-ssl-", "x-amzn-mtls-", "cf-client-cert-", "cloudfront-viewer-cert-",
	"x-forwarded-client-cert", "x-forwarded-tls-client-cert", "x-forwarded-ssl-client-", "x-auth-request-", "x-remote-extra-", "x-mtls-", "x-tls-client-", "tailscale-user-",
}

// longestIdentityHeader bounds what has to be folded on the stack.
const longestIdentityHeader = 64

// fold brings the spellings of a header name together: case does not count, and
// underscore and dot are dashes, because the next hop may think so too.
func fold(name string) string {
	var buf [longestIdentityHeader]byte
	return string(appendFolded(buf[:0], name))
}

func appendFolded(b []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c == '_' || c == '.':
			b = append(b, '-')
		default:
			b = append(b, c)
		}
	}
	return b
}

// clean deletes the identity headers, and their announcement as trailers.
func (s *snapshot) clean(r *http.Request) {
	s.cleanMap(r.Header)
	s.cleanMap(r.Trailer)
}

func (s *snapshot) cleanMap(h http.Header) {
	for name := range h {
		if s.isIdentityHeader(name) {
			delete(h, name)
		}
	}
}

// cleanTrailers keeps trailers that state an identity from the handler. Their
// announcement is gone already; but on HTTP/1.1 net/http adds those that arrive,
// announced or not, to the map that it shares with the handler's copy of the
// request, while the body is read.
func (s *snapshot) cleanTrailers(inner *http.Request) {
	if len(inner.Trailer) == 0 {
		inner.Trailer = nil // shared with nobody: what arrives stays outside
		return
	}
	inner.Body = &trailed{ReadCloser: inner.Body, snapshot: s, trailer: inner.Trailer}
}

// trailed is a body that cleans the trailers after it.
type trailed struct {
	io.ReadCloser
	snapshot *snapshot
	trailer  http.Header
}

func (t *trailed) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if err != nil {
		t.snapshot.cleanMap(t.trailer)
	}
	return n, err
}

// Close reads what is left of a short body, and the trailers with it.
func (t *trailed) Close() error {
	err := t.ReadCloser.Close()
	t.snapshot.cleanMap(t.trailer)
	return err
}

func (s *snapshot) isIdentityHeader(name string) bool {
	if name == "" {
		return false
	}
	switch name[0] | 0x20 {
	case 'c', 'r', 's', 't', 'x':
	default:
		if len(s.unwelcome) == 0 {
			return false // every name on the lists begins with one of these letters
		}
	}
	var buf [longestIdentityHeader]byte
	folded := appendFolded(buf[:0], name[:min(len(name), longestIdentityHeader)])
	if identityHeaders[string(folded)] || len(s.unwelcome) > 0 && s.unwelcome[fold(name)] {
		return true
	}
	for _, p := range identityPrefixes {
		if len(folded) >= len(p) && string(folded[:len(p)]) == p {
			return true
		}
	}
	return false
}
