package config

import (
	"fmt"
	"net/textproto"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
)

// The headers that carry the caller, where the file names no others.
const (
	defaultUserHeader        = "X-Mtlsguard-User"
	defaultGroupsHeader      = "X-Mtlsguard-Groups"
	defaultCertificateHeader = "Client-Cert" // RFC 9440
)

// ofHTTP are headers that HTTP itself, its proxies or its caches read (RFC 9110, RFC 9111,
// RFC 9112), and those that carry other credentials.
var ofHTTP = map[string]bool{
	"accept": true, "authorization": true, "cache-control": true, "connection": true, "cookie": true, "date": true, "expect": true,
	"forwarded": true, "from": true, "host": true, "http2-settings": true, "keep-alive": true, "max-forwards": true, "origin": true, "pragma": true,
	"range": true, "referer": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true, "user-agent": true, "via": true, "x-real-ip": true,
}

// prefixesOfHTTP are families of such headers.
var prefixesOfHTTP = []string{"accept-", "access-control-", "content-", "if-", "proxy-", "sec-", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"}

// upstreamHeaders reads the names of the headers that carry the caller.
func (p *parser) upstreamHeaders(u *Upstream, n *yaml.Node) {
	u.Headers = UpstreamHeaders{User: defaultUserHeader, Groups: defaultGroupsHeader, Certificate: defaultCertificateHeader}
	if n == nil {
		return
	}
	m := p.Map(n, "headers", "user", "groups", "certificate", "signed")
	taken := map[string]string{} // keys by folded name
	for _, one := range []struct {
		key  string
		name *string
	}{{"user", &u.Headers.User}, {"groups", &u.Headers.Groups}, {"certificate", &u.Headers.Certificate}, {"signed", &u.Headers.Signed}} {
		if node := m[one.key]; node != nil {
			*one.name = textproto.CanonicalMIMEHeaderKey(p.headerName(node, one.key))
		}
		folded := idheader.Fold(*one.name)
		if other := taken[folded]; other != "" && folded != "" {
			p.Say(at(m[one.key], n), fmt.Sprintf("headers: %s and %s have one name, %q", other, one.key, *one.name), "use a name for each")
		}
		taken[folded] = one.key
	}
}

// headerName reads the name of a header. An empty one is valid: the header is not sent.
func (p *parser) headerName(n *yaml.Node, key string) string {
	name := p.Text(n, key)
	fail := func(what, hint string) { p.Say(n, fmt.Sprintf("%s: %q %s", key, name, what), hint) }
	lower := strings.ToLower(name)
	switch {
	case name == "":
	case len(name) > maxHeaderName || strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || lower[0] < 'a' || lower[0] > 'z':
		fail("is not the name of a header", fmt.Sprintf("begin with a letter; letters, digits and - may follow, at most %d characters", maxHeaderName))
	case strings.ContainsAny(name, "_."):
		fail("has an underscore or a dot, which some servers drop, and others take for a dash", "write "+strings.NewReplacer("_", "-", ".", "-").Replace(name))
	case isOfHTTP(lower):
		fail("has a meaning of its own in HTTP", "use a name of your own, such as "+defaultUserHeader)
	default:
		return name
	}
	return ""
}

const maxHeaderName = 64

func isOfHTTP(lower string) bool {
	for _, prefix := range prefixesOfHTTP {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	return ofHTTP[lower]
}
