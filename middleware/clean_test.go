package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// identityHeaders is a second list, from the manuals of the gateways: a name that is removed
// from the guard's list fails a test.
var identityHeaders = []string{
	"Client-Cert", "Client-Cert-Chain", "Client-Cert-X", "X-Client-Cert", "X-Client-Cert-Chain", "X-Client-Certificate",
	"X-Forwarded-Client-Cert", "X-Forwarded-Client-Cert-Chain", "X-Forwarded-Client-Cert-Hash", "X-ARR-ClientCert",
	"X-SSL-Cert", "X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-S-DN", "X-SSL-Client-CN", "X-SSL-Client-DN", "X-SSL-Client-SHA1",
	"SSL-Client-Cert", "SSL-Client-Verify", "SSL-Client-S-DN", "SSL-Client-Escaped-Cert",
	"X-Client-Verify", "X-Client-DN", "X-Client-Subject", "X-Client-Issuer", "X-Client-Subject-DN",
	"X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf", "X-Amzn-Mtls-Clientcert-Subject", "X-Amzn-Mtls-Clientcert-Serial-Number",
	"Cf-Client-Cert-Der-Base64", "Cf-Client-Cert-Verified", "CloudFront-Viewer-Cert-Pem", "CloudFront-Viewer-Cert-Subject",
	"X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-Forwarded-Ssl-Client-Cert", "X-TLS-Client-Cert", "X-Mtls-Subject",
	"Remote-User", "X-Remote-User", "X-Remote-Uid", "X-Remote-Group", "X-Remote-Extra-Scopes", "X-Auth-Request-User", "X-Auth-Request-Email",
	"X-Forwarded-User", "X-Forwarded-Groups", "X-Forwarded-Email", "X-Forwarded-Preferred-Username",
	"X-Webauth-User", "X-Authenticated-User", "X-Authenticated-Userid", "X-Auth-User", "X-User",
	"X-Client-Cert-" + strings.Repeat("long-", 40) + "name",
	"X-Own-Identity", "Own." + strings.Repeat("Very-", 20) + "Long", // Config.IdentityHeaders
}

// ordinary lists headers that must reach the handler.
var ordinary = []string{"X-Client-Ip", "X-Users", "X-Request-Id", "Client", "Remote", "X-Forwarded-For", "Cookie", "Xclient-Cert", "X-Own-Identity-2"}

// spellings returns names that a next hop may treat as name.
func spellings(name string) []string {
	lower := strings.ToLower(name)
	first, rest, _ := strings.Cut(name, "-")
	return []string{
		name, lower, strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(lower, "-", "_"), strings.ReplaceAll(strings.ToUpper(name), "-", "_"),
		strings.ReplaceAll(name, "-", "."), strings.ReplaceAll(lower, "-", "."), first + "_" + rest, strings.ToLower(first) + "." + strings.ToUpper(rest),
	}
}

func ownHeaders(c *middleware.Config) {
	c.IdentityHeaders = []string{"x_own.identity", "Own-" + strings.Repeat("Very-", 20) + "Long"}
}

// Covers F1, F3.
func TestIdentityHeadersNeverArrive(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{false, true} { // with and without own names
		guard := newGuard(t, func(c *middleware.Config) {
			c.Fallback = middleware.ToDefault
			if own {
				ownHeaders(c)
			}
		})
		open := []*ports.Port{newPort(t, "none", ports.None), newPort(t, "request", ports.Request), newPort(t, "require", ports.Require)}
		serve(t, guard.Handler(echo), open...)
		for _, port := range open {
			caller, user := shared().pairs[""], "Default"
			if port.Config().ClientAuth == ports.Require {
				caller, user = shared().alice, "alice"
			}
			h1, h2 := dialRaw(t, port, caller, "http/1.1"), dialFrames(t, port, caller)
			for _, name := range identityHeaders {
				if !own && strings.Contains(name, "Own") {
					continue
				}
				var lines strings.Builder
				var fields []field
				for i, s := range spellings(name) {
					fmt.Fprintf(&lines, "%s: bob%d\r\n", s, i)
					fields = append(fields, field{strings.ToLower(s), "bob"})
				}
				for how, s := range map[string]seen{
					"HTTP/1.1": h1.send("GET /x HTTP/1.1\r\nHost: localhost\r\n" + lines.String() + "Ordinary: yes\r\n\r\n"),
					"HTTP/2":   h2.send("GET", "/x", append(fields, field{"ordinary", "yes"})...),
				} {
					if s.wantUser(t, user); len(s.Headers) != 1 || s.Headers.Get("Ordinary") != "yes" {
						t.Errorf("%s, port %s, %s: the handler sees %v", how, port.Name(), name, s.Headers)
					}
				}
			}
			for _, name := range ordinary {
				if s := h1.send("GET /x HTTP/1.1\r\nHost: localhost\r\n" + name + ": yes\r\n\r\n"); s.Headers.Get(name) != "yes" {
					t.Errorf("%s was deleted: %v", name, s.Headers)
				}
			}
		}
	}
}

// Covers F5.
func TestConnectionHeaderHidesNoIdentityHeader(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	serve(t, newGuard(t).Handler(echo), port)
	c := dialRaw(t, port, nil, "http/1.1")
	for _, h := range []string{"Connection: Client-Cert\r\nClient-Cert: x", "Connection: keep-alive, x-remote-user\r\nX-Remote-User: alice"} {
		c.send("GET /x HTTP/1.1\r\nHost: localhost\r\n"+h+"\r\n\r\n").want(t, 403, reason.NoCertificate)
	}
}

// trailerNames lists identity headers that a request announces as trailers.
var trailerNames = []string{"Client-Cert", "client_cert", "X.Remote.User", "X-SSL-CLIENT-CERT"}

// Covers F15.
func TestTrailersCarryNoIdentity(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t)
	h := http.NewServeMux()
	h.Handle("/all", guard.Handler(echo))
	h.Handle("/some", guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 2) // and Close reads the rest
		r.Body.Close()
		echo(w, r)
	})))
	h.Handle("/inside", guard.Identify(guard.Authorize(echo)))
	serve(t, h, port)
	chunked := func(path, announced string, trailers ...string) string {
		head := "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
		if announced != "" {
			head += "Trailer: " + announced + "\r\n"
		}
		return head + "\r\n5\r\nhello\r\n0\r\n" + strings.Join(trailers, ": x\r\n") + ": x\r\n\r\n"
	}
	sent := append(slices.Clone(trailerNames), "Checksum")
	for _, path := range []string{"/all", "/some", "/inside"} {
		for _, announced := range []string{"", "Checksum", "Client-Cert", "Checksum, client_cert", strings.Join(sent, ", ")} {
			c := dialRaw(t, port, shared().alice, "http/1.1")
			s := c.send(chunked(path, announced, sent...))
			s.wantUser(t, "alice")
			checkTrailers(t, s.Trailers, strings.Contains(announced, "Checksum"))

			f := dialFrames(t, port, shared().alice)
			fields := []field{{":method", "POST"}, {":scheme", "https"}, {":path", path}, {":authority", "localhost"}}
			if announced != "" {
				fields = append(fields, field{"trailer", strings.ToLower(announced)})
			}
			var trailers []field
			for _, name := range sent {
				trailers = append(trailers, field{strings.ToLower(name), "x"})
			}
			s = f.request(fields, "hello", trailers...)
			s.wantUser(t, "alice")
			// Closing a body early drops its trailers on HTTP/2.
			checkTrailers(t, s.Trailers, path != "/some" && strings.Contains(announced, "Checksum"))
		}
	}
}

// checkTrailers allows only the harmless trailer, and requires it if it was announced.
func checkTrailers(t *testing.T, got http.Header, announced bool) {
	t.Helper()
	for name := range got {
		if name != "Checksum" {
			t.Errorf("the handler sees the trailer %s, want Checksum", name)
		}
	}
	if announced && got.Get("Checksum") != "x" {
		t.Errorf("the announced trailer is missing: %v", got)
	}
}

// FuzzIdentityHeader sends other spellings of the names in the list.
func FuzzIdentityHeader(f *testing.F) {
	for i := range identityHeaders {
		f.Add(uint(i), uint64(0))
		f.Add(uint(i), uint64(0xaaaa))
		f.Add(uint(i), ^uint64(0))
	}
	port := newPort(f, "p", ports.Request)
	guard := newGuard(f, ownHeaders)
	next := make(chan http.Header, 1)
	h := guard.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { next <- r.Header }))
	inner := capture(f, port, shared().alice)
	f.Fuzz(func(t *testing.T, which uint, bits uint64) {
		name := []byte(identityHeaders[which%uint(len(identityHeaders))])
		for i := range name {
			switch c := name[i]; {
			case c == '-' || c == '.':
				name[i] = "-_._"[bits>>(i%63)&3]
			case bits>>(i%64)&1 == 1:
				name[i] = byte(strings.ToUpper(string(c))[0])
			default:
				name[i] = byte(strings.ToLower(string(c))[0])
			}
		}
		r := inner.Clone(inner.Context())
		r.Header = http.Header{string(name): {"x"}, "Ordinary": {"yes"}, http.CanonicalHeaderKey(string(name)): {"y"}}
		h.ServeHTTP(&discard{}, r)
		if got := <-next; len(got) != 1 {
			t.Errorf("%s arrives: %v", name, got)
		}
	})
}
