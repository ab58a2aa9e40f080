package e2e

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

func organization(name string) testpki.Option {
	return func(c *x509.Certificate) { c.Subject.Organization = []string{name} }
}

func spki(p *testpki.Pair) string { return trust.SPKIOf(p.Cert).String() }

// line returns the only line with these fields.
func (l *live) line(pairs ...string) map[string]any {
	l.Helper()
	var found []map[string]any
	testkit.Eventually(l, "the line "+strings.Join(pairs, " "), func() bool { found = l.log.find(pairs...); return len(found) > 0 })
	if len(found) != 1 {
		l.Fatalf("%d lines with %q", len(found), pairs)
	}
	return found[0]
}

// A client that does not send its intermediate certificate, a certificate of a foreign
// authority, and one of a known name with another key read differently: the line has the
// missing issuer, how many certificates were sent, and the known issuers with a similar name.
func TestUnknownAuthoritiesReadDifferently(t *testing.T) {
	t.Parallel()
	acme, partner := testpki.NewCA("Acme Root CA", organization("Acme")), testpki.NewCA("Partner Root", organization("Partner"))
	issuing, foreign := acme.SubCA("Issuing CA 3", organization("ACME")), partner.SubCA("Partner Issuing", organization("Partner"))
	twin := testpki.NewCA("Acme Root CA", organization("Acme"))
	sent := func(p *testpki.Pair, chain ...*testpki.Pair) *testpki.Pair {
		out := *p
		out.Chain = nil
		for _, c := range chain {
			out.Chain = append(out.Chain, c.Cert)
		}
		return &out
	}
	s := newSite(t)
	s.put("acme.pem", string(acme.CertPEM()))
	s.sub("mtlsguard.yaml", "anchors: [ca.pem]\n      crls: [ca.crl]\n", "anchors: [ca.pem, acme.pem]\n")
	l := s.start(mtlsguard.Options{})
	leaf := issuing.Leaf("intermediate missing")
	for _, row := range []struct {
		holder       *testpki.Pair
		certificates float64
		want, not    string
	}{
		{sent(leaf), 1, `no anchor for issuer "CN=Issuing CA 3,O=ACME", whose certificate was not sent (certificates sent: 1); known issuers with a similar name: "CN=Acme Root CA,O=Acme"; if one of them issued it, the client must send the intermediate certificate too`, "Client CA"},
		{sent(foreign.Leaf("foreign"), foreign), 2, `no anchor for issuer "CN=Partner Root,O=Partner", whose certificate was not sent (certificates sent: 2); no known issuer has a similar name, known: "CN=Client CA", "CN=Acme Root CA,O=Acme"`, "intermediate"},
		{sent(foreign.Leaf("foreign with root"), foreign, partner), 3, `no anchor for issuer "CN=Partner Root,O=Partner", whose self-signed certificate was sent; no known issuer has a similar name`, "intermediate"},
		{sent(twin.Leaf("twin")), 1, `has the issuer's name, but another key`, "no anchor"},
		{sent(issuing.Leaf("other key"), acme.SubCA("Issuing CA 3", organization("ACME"))), 2, `no anchor for issuer "CN=Issuing CA 3,O=ACME"; the client sent "CN=Issuing CA 3,O=ACME", serial `, "similar"},
		{testpki.Make(nil, testpki.NewKey(), &x509.Certificate{Subject: pkix.Name{CommonName: "self"}}), 1, `no anchor for issuer "CN=self", the certificate itself: it is self-signed`, "intermediate"},
	} {
		if got := get(s.client(row.holder), l.url("internal", "/whoami")); got != "refused" {
			t.Errorf("%s: got %s, want refused", row.want, got)
		}
		line := l.line("event", "handshake", "reason", "unknown-authority", "subject", row.holder.Cert.Subject.String())
		text, _ := line["error"].(string)
		if !strings.Contains(text, row.want) || strings.Contains(text, row.not) || line["certificates"] != row.certificates || line["spki"] != spki(row.holder) {
			t.Errorf("want %s\ngot  %v", row.want, line)
		}
	}
	// The chain with its intermediate certificate is trusted.
	if got := get(s.client(sent(leaf, issuing)), l.url("internal", "/whoami")); got != "403 unmapped" {
		t.Errorf("with the intermediate certificate: %s, want 403 unmapped", got)
	}
}

// Lines about refusals have what the client sent: alternative names, key, SNI, Host, the
// number of certificates; and where it sent none, what the port asked for. Texts of the client
// are escaped and short. Lines about allowed requests have none of this.
func TestRefusalsHaveWhatTheClientSent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	names := func(c *x509.Certificate) {
		id, _ := url.Parse("spiffe://acme/orders")
		c.URIs, c.DNSNames, c.EmailAddresses, c.IPAddresses = []*url.URL{id}, []string{"a.example", "b, URI:spiffe://acme/admin"}, []string{"x@y.example"}, []net.IP{net.IPv4(192, 0, 2, 1)}
	}
	many := func(c *x509.Certificate) {
		for i := range 90 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("host-%d.%s.example", i, strings.Repeat("x", 50)))
		}
	}
	const wantNames = `DNS:a.example, DNS:"b, URI:spiffe://acme/admin", email:x@y.example, IP:192.0.2.1, URI:spiffe://acme/orders`
	named, expired := s.ca.Leaf("stranger", names), s.other.Leaf("untrusted", names)
	do := func(c *http.Client, port, path, host string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, l.url(port, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		if res, err := c.Do(r); err == nil {
			res.Body.Close()
		}
	}
	sni := func(tr *http.Transport) { tr.TLSClientConfig.ServerName = "localhost" }
	do(s.client(named, sni), "internal", "/unmapped", "orders.example:8443")
	do(s.client(s.alice, sni), "internal", "/forbidden", "")
	do(s.client(s.alice, sni), "internal", "/whoami", "")
	do(s.client(expired, sni), "internal", "/x", "")
	do(s.client(s.ca.Leaf("many", many)), "internal", "/many", strings.Repeat("h", 4000))
	do(s.client(nil, sni), "internal", "/x", "")
	for _, row := range []struct {
		find []string
		want map[string]any
	}{
		{[]string{"path", "/unmapped"}, map[string]any{"reason": "unmapped", "san": wantNames, "spki": spki(named), "host": "orders.example:8443", "sni": "localhost", "certificates": 1.}},
		{[]string{"path", "/forbidden"}, map[string]any{"reason": "no-rule", "user": "alice", "san": nil, "spki": spki(s.alice), "sni": "localhost", "certificates": 1.}},
		{[]string{"path", "/whoami"}, map[string]any{"outcome": "allow", "san": nil, "spki": nil, "host": nil, "sni": nil, "certificates": nil, "stale": nil}},
		{[]string{"reason", "unknown-authority"}, map[string]any{"event": "handshake", "san": wantNames, "spki": spki(expired), "sni": "localhost", "certificates": 1.}},
		{[]string{"reason", "no-certificate"}, map[string]any{"event": "handshake", "sni": "localhost", "spki": nil, "certificates": nil,
			"error": `no-certificate: the client sent no certificate; the port requests a certificate of "CN=Client CA"`}},
	} {
		line := l.line(row.find...)
		for key, want := range row.want {
			if line[key] != want {
				t.Errorf("%s: %s is %v, want %v", row.find, key, line[key], want)
			}
		}
	}
	line := l.line("path", "/many")
	if text, _ := line["san"].(string); !strings.HasPrefix(text, "DNS:host-0.") || !strings.HasSuffix(text, " and 76 more") || len(text) > 1100 || strings.Count(text, "DNS:") != 14 {
		t.Errorf("%d bytes: %s", len(text), text)
	}
	if text, _ := line["host"].(string); len(text) > 300 {
		t.Errorf("host has %d bytes", len(text))
	}
}

// A strict port names the authorities that it asks for; a gateway's port names none.
func TestRefusalWithoutCertificateNamesTheAuthoritiesThatThePortAskedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub("mtlsguard.yaml", "strict: false", "strict: true")
	var all strings.Builder
	for i := range 7 {
		all.Write(testpki.NewCA(fmt.Sprintf("CA %d%s", i, strings.Repeat("z", 55))).CertPEM())
	}
	s.put("many.pem", all.String())
	s.sub("mtlsguard.yaml", "trust: {anchors: [ca.pem]}", "trust: {anchors: [many.pem, ca.pem]}")
	l := s.start(mtlsguard.Options{})
	if got := get(s.client(nil), l.url("public", "/whoami")); got != "403 no-certificate" {
		t.Fatal(got)
	}
	text, _ := l.line("event", "decision", "reason", "no-certificate")["error"].(string)
	if !strings.HasPrefix(text, `strict: no certificate, no request; the port requests a certificate of "CN=CA 0zz`) || !strings.HasSuffix(text, " and 3 more") || strings.Count(text, "CN=") != 5 {
		t.Error(text)
	}
}

// A refused connection names the limit, its value, and the address that has the connections.
func TestLimitNamesItsValueAndTheAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub("mtlsguard.yaml", "limits: {drain: 1s}", "limits: {drain: 1s, connections_per_ip: 2}")
	l := s.start(mtlsguard.Options{})
	for range 2 {
		c, err := net.Dial("tcp", portAddr(l, "public"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	testkit.Eventually(t, "two connections", func() bool { return status(l, "public").Connections == 2 })
	if c, err := net.Dial("tcp", portAddr(l, "public")); err == nil {
		c.Close()
	}
	const want = "limit: too many connections of one address: 127.0.0.1 has 2, limits.connections_per_ip is 2"
	if line := l.line("event", "handshake", "reason", "limit"); line["error"] != want {
		t.Error(line)
	}
}

// A certificate that a request is refused for is in its line, also if it is not trusted any
// more.
func TestRefusalNamesACertificateThatIsNoLongerTrusted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	clock := &testkit.Clock{}
	l := s.start(mtlsguard.Options{Now: clock.Now})
	short := s.ca.Leaf("alice")
	c := s.client(short)
	if got := get(c, l.url("internal", "/whoami")); got != "200 alice" {
		t.Fatal(got)
	}
	clock.Set(short.Cert.NotAfter.Add(1e9))
	if got := get(c, l.url("internal", "/whoami")); got != "403 expired" && got != "403 revocation-unknown" {
		t.Fatal(got)
	}
	line := l.line("event", "decision", "outcome", "refuse")
	if line["subject"] != "CN=alice" || line["spki"] != spki(short) || line["certificates"] != 1. || line["fingerprint"] != trust.FingerprintOf(short.Cert).String() {
		t.Error(line)
	}
}

// While the files are not in effect, because the last reload failed, each line says so.
func TestLinesAreMarkedWhileTheLastReloadHasFailed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	c, stranger := s.client(s.alice), s.client(s.other.Leaf("x"))
	for i, row := range []struct {
		users string
		stale any
	}{
		{siteUsers, nil},
		{"mappings: [", true},
		{"mappings: nothing", true},
		{siteUsers, nil},
	} {
		s.put("users.yaml", row.users)
		if err := l.server.Reload(); (err != nil) != (row.stale != nil) {
			t.Fatal(err)
		}
		for _, path := range []string{"/whoami", "/forbidden"} {
			path := fmt.Sprintf("%s?%d", path, i)
			get(c, l.url("internal", path))
		}
		get(stranger, l.url("internal", "/x"))
		testkit.Eventually(t, "the lines", func() bool {
			return len(l.log.find("event", "decision")) == 2*(i+1) && len(l.log.find("event", "handshake", "outcome", "refuse")) == i+1
		})
		lines := append(l.log.find("event", "decision")[2*i:], l.log.find("event", "handshake", "outcome", "refuse")[i])
		for _, line := range lines {
			if line["stale"] != row.stale {
				t.Errorf("row %d: %v", i, line)
			}
		}
	}
}

// The line of an unmapped certificate names the mapping that comes nearest, its place and the
// part that differs, and follows a reload.
func TestUnmappedLineNamesTheNearestMapping(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	stranger := s.client(s.ca.Leaf("carol", func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"Sales"} }))
	mapping := func(rest string) string { return "mappings:\n  - {id: carol, user: carol, " + rest + "}\n" }
	for i, row := range []struct{ users, want string }{
		{mapping(`subject: "CN=carol,OU=Staff", issuer: ca.pem`), `users.yaml:2: subject "carol": differs: wanted "CN=carol,OU=Staff", got "CN=carol,OU=Sales"; wanted "OU=Staff", got "OU=Sales"`},
		{mapping(`subject: "CN=carol,OU=sales", issuer: ca.pem`), `users.yaml:2: subject "carol": near miss: wanted "CN=carol,OU=sales", got "CN=carol,OU=Sales"; differs in case`},
		{mapping(`subject: "CN=carol,OU=Sales", issuer: ca.pem, disabled: true`), `users.yaml:2: subject "carol": disabled`},
		{mapping(`subject: "CN=carol,OU=Sales", issuer: ca.pem, ports: [public]`), `users.yaml:2: subject "carol": other port`},
		{"mappings:\n  - {id: bob, user: bob, subject: \"CN=bob\", issuer: ca.pem}\n", ""},
	} {
		s.put("users.yaml", row.users)
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
		for range 2 { // from the cache too
			if got := get(stranger, l.url("internal", "/whoami")); got != "403 unmapped" {
				t.Fatal(got)
			}
		}
		testkit.Eventually(t, "the lines", func() bool { return len(l.log.find("event", "decision")) == 2*(i+1) })
		for _, line := range l.log.find("event", "decision")[2*i:] {
			if text, _ := line["nearest"].(string); !strings.Contains(text, row.want) || (text == "") != (row.want == "") {
				t.Errorf("%s, want %s", text, row.want)
			}
		}
	}
}
