package upstream

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/idheader"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// field is a header with its one value.
type field struct{ name, value string }

// maxGroups bounds the bytes of the header with the groups. Servers refuse longer headers.
const maxGroups = 16 << 10

// of returns the headers that carry a caller. Names of users and groups hold neither commas nor
// control characters. A mapper or a policy of a program may break that, and then it is an error.
func (h *Headers) of(id *identity.Identity) ([]field, error) {
	var out []field
	if (h.User != "" || h.Signed != "") && !username.IsName(id.User) {
		return nil, fmt.Errorf("the user %.200q cannot be sent in a header", id.User)
	}
	if h.User != "" {
		out = append(out, field{h.User, id.User})
	}
	if h.Groups != "" || h.Signed != "" {
		groups, err := joinGroups(id.Groups)
		if err != nil {
			return nil, err
		}
		if h.Groups != "" {
			out = append(out, field{h.Groups, groups})
		}
	}
	if h.Certificate != "" && id.Leaf != nil {
		out = append(out, field{h.Certificate, ":" + base64.StdEncoding.EncodeToString(id.Leaf.Raw) + ":"}) // a Byte Sequence (RFC 9440 section 2.1)
	}
	return out, nil
}

// joinGroups returns groups with commas.
func joinGroups(groups []string) (string, error) {
	for _, g := range groups {
		if !username.IsName(g) {
			return "", fmt.Errorf("the group %.200q cannot be sent in a header", g)
		}
	}
	out := strings.Join(groups, ",")
	if len(out) > maxGroups {
		return "", fmt.Errorf("the groups of the user have %d bytes, and a header may have %d: set headers: {groups: \"\"} without signed, or make them fewer", len(out), maxGroups)
	}
	return out, nil
}

// sign sets the signed header. Each attempt gets a token of its own: a service that remembers tokens would take a
// repeated request for one that somebody else sends again, and the first token may have ended by then.
func (u *Upstream) sign(header http.Header, x *exchange) {
	if name := u.config.Headers.Signed; name != "" {
		header[name] = []string{u.config.Tokens.Sign(x.caller, u.config.URL, time.Now())}
	}
}

// names reports whether a header, in any spelling, is one that carries the caller.
func (h *Headers) names(name string) bool {
	return idheader.Same(name, h.User) || idheader.Same(name, h.Groups) || idheader.Same(name, h.Certificate) || idheader.Same(name, h.Signed)
}

// rewrite makes the request for the service. ReverseProxy has removed the headers that the
// caller names in Connection before, so a caller cannot have those removed that are set here.
func (u *Upstream) rewrite(pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In)
	out := pr.Out
	u.config.Headers.clean(out.Header)
	u.addVia(out.Header, pr.In)
	for _, f := range x.identity {
		out.Header[f.name] = []string{f.value}
	}
	u.sign(out.Header, x)
	out.Header["X-Forwarded-Host"], out.Header["X-Forwarded-Proto"] = []string{pr.In.Host}, []string{"https"}
	if addr := remoteOf(pr.In); addr != "" {
		out.Header["X-Forwarded-For"] = []string{addr}
	}
	if !pr.In.ProtoAtLeast(1, 1) {
		delete(out.Header, "Connection") // HTTP/1.0 has no upgrades (RFC 9110 section 7.8)
		delete(out.Header, "Upgrade")
	}
	out.URL.Scheme, out.URL.Host, out.URL.User = u.config.Scheme, u.config.Host, nil
	out.URL.RawQuery = pr.In.URL.RawQuery // unchanged: no decision depends on it
	out.Host = pr.In.Host
	if out.Body == nil {
		out.Trailer = nil // with trailers and no body net/http never ends a stream of HTTP/2
		return
	}
	u.config.Headers.clean(out.Trailer)
	for name := range out.Trailer {
		if !isTrailer(name) {
			delete(out.Trailer, name)
		}
	}
	x.body = &requestBody{x: x, body: out.Body, trailers: out.Trailer, turn: make(chan struct{}, 1)}
	out.Body = x.body.attempt()
}

// remoteOf returns the caller's IP address: the one that a configured proxy or gateway reports,
// else that of the connection. Behind a gateway that reports none it is unknown.
func remoteOf(r *http.Request) string {
	id, _ := identity.FromContext(r.Context())
	switch {
	case id.Remote.IsValid():
		return id.Remote.Unmap().WithZone("").String()
	case slices.Contains([]identity.Via{identity.Forwarded, identity.Tunnel}, id.Via):
		return ""
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || net.ParseIP(host) == nil {
		return ""
	}
	return host
}
