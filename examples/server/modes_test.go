package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Port mode, certificate and strict decide the caller, as in the table of the documentation.
// Covers A16, L1.
func TestModeCertificateAndStrictDecideTheCaller(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	yesterday := time.Now().Add(-24 * time.Hour)
	certificates := []struct {
		name   string
		pair   *testpki.Pair
		want   string // with request and require
		reason string // of a refused handshake
	}{
		{"no certificate", nil, "", ""},
		{"one user", s.ca.Leaf("alice"), "200 alice", ""},
		{"under an intermediate", s.sub.Leaf("alice"), "200 alice", ""},
		{"unmapped", s.ca.Leaf("stranger"), "403 unmapped", ""},
		{"ambiguous", s.ca.Leaf("double", func(c *x509.Certificate) { c.DNSNames = []string{"one.example", "two.example"} }), "403 ambiguous", ""},
		{"untrusted", s.other.Leaf("alice"), "refused", "unknown-authority"},
		{"self-signed", testpki.Make(nil, testpki.NewKey(), &x509.Certificate{
			Subject: pkix.Name{CommonName: "alice"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}), "refused", "unknown-authority"},
		{"expired", s.ca.Leaf("alice", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = yesterday.Add(-time.Hour), yesterday }), "refused", "expired"},
		{"not yet valid", s.ca.Leaf("alice", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), "refused", "not-yet-valid"},
		{"wrong usage", s.ca.Leaf("alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "refused", "wrong-usage"},
		{"no usage", s.ca.Leaf("alice", func(c *x509.Certificate) { c.ExtKeyUsage = nil }), "refused", "wrong-usage"},
		{"a CA", s.ca.SubCA("alice"), "refused", "not-a-leaf"},
		{"too many names", s.ca.Leaf("alice", func(c *x509.Certificate) { c.DNSNames = make101Names() }), "refused", "too-large"},
	}
	var ports []string
	for _, mode := range []string{"none", "request", "require"} {
		for _, strict := range []bool{true, false} {
			ports = append(ports, s.port(fmt.Sprintf("%s-%t", mode, strict), mode, fmt.Sprintf("strict: %t", strict)))
		}
	}
	s.files(`mappings:
  - {id: alice, user: alice, subject: CN=alice, issuer: ca.pem}
  - {id: one, user: one, dns: one.example, issuer: ca.pem}
  - {id: two, user: two, dns: two.example, issuer: ca.pem}
`, "p, group:Everybody, *, *, /*, allow\n", ports...)
	s.start()
	for _, e := range certificates {
		for _, mode := range []string{"none", "request", "require"} {
			for _, strict := range []bool{true, false} {
				want := e.want
				switch {
				case mode == "require" && e.pair == nil:
					want = "refused"
				case mode != "none" && e.pair != nil:
				case strict:
					want = "403 no-certificate"
				default:
					want = "200 Default"
				}
				port := fmt.Sprintf("%s-%t", mode, strict)
				for version, options := range map[string][]testkit.ClientOption{"TLS 1.3": nil, "TLS 1.2": {testkit.TLS12}, "HTTP/2": {testkit.HTTP2}} {
					if got := s.request(s.client(e.pair, options...), "GET", port, "/x").short(); got != want {
						t.Errorf("%s on %s, %s: got %s, want %s", e.name, port, version, got, want)
					}
				}
				if why := e.reason; want == "refused" {
					if why == "" {
						why = "no-certificate"
					}
					testkit.Eventually(t, e.name+" on "+port+" is logged as "+why, func() bool { // the log line may be written after the client's handshake ends
						return len(s.log("event", "handshake", "outcome", "refuse", "port", port, "reason", why)) >= 3
					})
				}
			}
		}
	}
}

func make101Names() (names []string) {
	for i := range 101 {
		names = append(names, fmt.Sprintf("host-%d.example", i))
	}
	return names
}

// Each kind of mapping in the file names a user.
func TestEveryKindOfMappingNamesAUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	pairs := map[string]*testpki.Pair{
		"fingerprint": s.ca.Leaf("f"), "spki": s.ca.Leaf("k"),
		"serial":  s.ca.Leaf("s", func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0x0A1B2C) }),
		"uri":     s.ca.Leaf("u", func(c *x509.Certificate) { c.URIs = []*url.URL{mustURL("spiffe://acme/ns/prod/sa/orders")} }),
		"dns":     s.ca.Leaf("d", func(c *x509.Certificate) { c.DNSNames = []string{"Batch.Acme.Example"} }),
		"email":   s.ca.Leaf("e", func(c *x509.Certificate) { c.EmailAddresses = []string{"carol@ACME.example"} }),
		"subject": s.ca.Leaf("exact", func(c *x509.Certificate) { c.Subject.Organization = []string{"Acme, Inc."} }),
		"staff":   s.sub.Leaf("erin", func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"Staff"} }),
		"spiffe":  s.ca.Leaf("p", func(c *x509.Certificate) { c.URIs = []*url.URL{mustURL("spiffe://acme/user/frank")} }),
	}
	upper := strings.ToUpper(trust.FingerprintOf(pairs["fingerprint"].Cert).String())
	s.files(fmt.Sprintf(`mappings:
  - {id: fingerprint, user: by-fingerprint, fingerprint: "sha256:%s"}
  - {id: spki, user: by-spki, spki: %s}
  - {id: serial, user: by-serial, serial: 0A1B2C, issuer: ca.pem}
  - {id: uri, user: by-uri, uri: "spiffe://acme/ns/prod/sa/orders", issuer: ca.pem}
  - {id: dns, user: by-dns, dns: batch.acme.example, issuer: ca.pem}
  - {id: email, user: by-email, email: carol@acme.example, issuer: %s}
  - {id: subject, user: by-subject, subject: "CN=exact,O=Acme\\, Inc.", issuer: ca.pem}
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff", issuer: ca.pem}
  - {id: spiffe, user: "{user}", uri: "spiffe://acme/user/{user}", issuer: ca.pem}
`, upper, trust.SPKIOf(pairs["spki"].Cert), trust.SPKIOf(s.ca.Cert)), "p, group:Authenticated, *, GET, /*, allow\n", s.port("internal", "require"))
	s.start()
	users := map[string]string{"staff": "erin", "spiffe": "frank"}
	for id, pair := range pairs {
		user := users[id]
		if user == "" {
			user = "by-" + id
		}
		a := s.request(s.client(pair), "GET", "internal", "/whoami")
		if a.short() != "200 "+user || a.fields["mapping"] != id || a.fields["fingerprint"] != trust.FingerprintOf(pair.Cert).String() {
			t.Errorf("%s: got %s, want 200 by this mapping", id, a.body)
		}
	}
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

// Covers D17.
func TestCallersReachOnlyTheirOwnPath(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files("mappings:\n  - {id: all, user: \"{user}\", subject: \"CN={user}\", issuer: ca.pem}\n",
		"p, group:Everybody, *, *, /users/{user}/*, allow\np, group:Everybody, *, POST, /users/{user}/audit, deny\n",
		s.port("internal", "require"), s.port("public", "request", "strict: false"))
	s.start()
	alice, anonymous := s.client(s.ca.Leaf("alice")), s.client(nil)
	for _, row := range []struct {
		client             *http.Client
		method, port, path string
		want               string
	}{
		{alice, "GET", "internal", "/users/alice/inbox", "200 alice"},
		{alice, "GET", "internal", "/users/%61lice/inbox", "200 alice"},
		{s.client(s.ca.Leaf("alice"), testkit.HTTP2), "GET", "internal", "/users/alice/inbox", "200 alice"},
		{alice, "POST", "internal", "/users/alice/audit", "403 denied"},
		{alice, "GET", "internal", "/users/bob/inbox", "403 no-rule"},
		{alice, "POST", "internal", "/users/bob/audit", "403 no-rule"},
		{alice, "GET", "internal", "/users/Alice/inbox", "403 no-rule"},
		{alice, "GET", "internal", "/users/%7Buser%7D/inbox", "403 no-rule"},
		{s.client(s.ca.Leaf("bob")), "GET", "public", "/users/bob/", "200 bob"},
		{s.client(s.ca.Leaf("bob")), "GET", "public", "/users/alice/", "403 no-rule"},
		{anonymous, "GET", "public", "/users/Default/inbox", "403 no-rule"},
	} {
		if got := s.request(row.client, row.method, row.port, row.path).short(); got != row.want {
			t.Errorf("%s %s on %s: got %s, want %s", row.method, row.path, row.port, got, row.want)
		}
	}
}

// The settings of a port apply to that port: unmapped, server_names, methods, limits.
func TestPortSettingsApplyToTheirPortOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files("mappings:\n  - {id: alice, user: alice, subject: CN=alice, issuer: ca.pem}\n",
		"p, group:Everybody, *, *, /*, allow\np, user:alice, dav, PROPFIND, /closed, deny\n",
		s.port("guests", "request", "unmapped: guest"),
		s.port("default", "request", "strict: false", "unmapped: Default"),
		s.port("named", "request", "server_names: [API.acme.example.]"),
		s.port("dav", "request", "methods: [PROPFIND]"),
		s.port("small", "request", "limits: {header_bytes: 8192, drain: 1s}"))
	s.start()
	alice, unmapped := s.client(s.ca.Leaf("alice")), s.client(s.ca.Leaf("stranger"))
	named := func(sni string) *http.Client {
		return s.client(s.ca.Leaf("alice"), func(tr *http.Transport) { tr.TLSClientConfig.ServerName = sni })
	}
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	header := func(n int) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Big", strings.Repeat("x", n)) }
	}
	for _, row := range []struct {
		name string
		got  *answer
		want string
	}{
		{"unmapped certificate", s.request(unmapped, "GET", "guests", "/x"), "200 guest"},
		{"mapped certificate beside unmapped", s.request(alice, "GET", "guests", "/x"), "200 alice"},
		{"unmapped Default", s.request(unmapped, "GET", "default", "/x"), "200 Default"},
		{"no SNI", s.request(alice, "GET", "named", "/x", host("api.acme.example")), "421 misdirected"},
		{"SNI of another", s.request(named("localhost"), "GET", "named", "/x", host("api.acme.example")), "421 misdirected"},
		{"Host of another", s.request(named("api.acme.example"), "GET", "named", "/x", host("localhost")), "421 misdirected"},
		{"case, dot and port of Host", s.request(named("api.acme.example"), "GET", "named", "/x", host("Api.ACME.example.:8443")), "200 alice"},
		{"a method of this port", s.request(alice, "PROPFIND", "dav", "/x"), "200 alice"},
		{"a rule for it", s.request(alice, "PROPFIND", "dav", "/closed"), "403 denied"},
		{"a method of another port", s.request(alice, "PROPFIND", "guests", "/x"), "400 ambiguous-path"},
		{"an unknown method", s.request(alice, "BREW", "dav", "/x"), "400 ambiguous-path"},
		{"a method in lower case", s.request(alice, "get", "dav", "/x"), "400 ambiguous-path"},
		{"headers of 60 KiB", s.request(alice, "GET", "dav", "/x", header(60<<10)), "200 alice"},
		{"headers of 65 KiB", s.request(alice, "GET", "dav", "/x", header(65<<10)), "431"},
		{"headers of 3 KiB, small port, HTTP/2", s.request(s.client(s.ca.Leaf("alice"), testkit.HTTP2), "GET", "small", "/x", header(3<<10)), "200 alice"},
		{"headers of 9 KiB, small port", s.request(alice, "GET", "small", "/x", header(9<<10)), "431"},
	} {
		if got := row.got.short(); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}
