package e2e

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// behind is a site whose port "internal" reads forwarded certificates in the format of nginx.
type behind struct {
	*site
	gatewayCA *testpki.Pair
	gateway   *testpki.Pair
}

const gatewayName = "gateway.acme.example"

const behindConfig = `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    forwarded:
      format: nginx
      verified: {header: X-SSL-Client-Verify, value: SUCCESS}
      gateway: {anchors: [gateway-ca.pem], crls: [gateway-ca.crl], names: [gateway.acme.example]}
      trust: {anchors: [ca.pem], crls: [ca.crl]}
    strict: true
    limits: {drain: 1s}
  - name: public
    listen: 127.0.0.1:0
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [ca.pem]}
    strict: false
    limits: {drain: 1s}
`

func newBehind(tb testing.TB) *behind {
	b := &behind{site: newSite(tb), gatewayCA: testpki.NewCA("Gateway CA")}
	b.gateway = b.gatewayCA.Leaf("gateway", named(gatewayName))
	b.put("gateway-ca.pem", string(b.gatewayCA.CertPEM()))
	b.put("gateway-ca.crl", crlPEM(b.gatewayCA.CRL(1, nil)))
	b.put(config, behindConfig)
	return b
}

func named(dns string) testpki.Option {
	return func(c *x509.Certificate) { c.DNSNames = []string{dns} }
}

// withHeaders returns a client that adds headers to every request: pairs of a name and a value.
func withHeaders(c *http.Client, pairs ...string) *http.Client {
	inner := *c
	inner.Transport = &headerTransport{c.Transport, pairs}
	return &inner
}

type headerTransport struct {
	http.RoundTripper
	pairs []string
}

func (s *headerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for i := 0; i < len(s.pairs); i += 2 {
		r.Header[s.pairs[i]] = append(r.Header[s.pairs[i]], s.pairs[i+1]) // without canonicalization
	}
	return s.RoundTripper.RoundTrip(r)
}

// escaped is a certificate as nginx sends it.
func escaped(p *testpki.Pair) string { return url.PathEscape(string(onlyLeaf(p).CertPEM())) }

// nginxHeaders returns the headers in which nginx forwards a certificate.
func nginxHeaders(holder *testpki.Pair) []string {
	return []string{"X-Ssl-Client-Cert", escaped(holder), "X-Ssl-Client-Verify", "SUCCESS"}
}

func onlyLeaf(holder *testpki.Pair) *testpki.Pair {
	return &testpki.Pair{Cert: holder.Cert, Key: holder.Key}
}

// answer returns the outcome of a finished request, as get does.
func answer(res *http.Response, err error) string {
	if err != nil {
		return "refused"
	}
	return get(&http.Client{Transport: fixedAnswer{res}}, "https://localhost/")
}

type fixedAnswer struct{ res *http.Response }

func (f fixedAnswer) RoundTrip(*http.Request) (*http.Response, error) { return f.res, nil }

const (
	nginxFormat    = "format: nginx"
	gatewayLine    = "gateway: {anchors: [gateway-ca.pem], crls: [gateway-ca.crl], names: [gateway.acme.example]}"
	usersLine      = "trust: {anchors: [ca.pem], crls: [ca.crl]}"
	verifiedLine   = "verified: {header: X-SSL-Client-Verify, value: SUCCESS}"
	forwardedLines = "    forwarded:\n      " + nginxFormat + "\n      " + verifiedLine + "\n      " + gatewayLine + "\n      " + usersLine + "\n"
)

var behindRows = []struct {
	name          string
	change        func(*behind)
	forward       func(*behind) []string
	before, after string
}{
	{"user", func(b *behind) { b.sub("users.yaml", "user: alice", "user: alicia") }, aliceHeaders, "200 alice", "200 alicia"},
	{"user removed", func(b *behind) { b.put("users.yaml", "mappings: []\n") }, aliceHeaders, "200 alice", "403 unmapped"},
	{"user disabled", func(b *behind) { b.sub("users.yaml", "user: alice", "user: alice, disabled: true") }, aliceHeaders, "200 alice", "403 unmapped"},
	{"policy denies", func(b *behind) { b.put("policy.csv", sitePolicy+"p, user:alice, *, *, /*, deny\n") }, aliceHeaders, "200 alice", "403 denied"},
	{"policy has no rule", func(b *behind) { b.put("policy.csv", "# nothing\n") }, aliceHeaders, "200 alice", "403 no-rule"},
	{"unmapped", func(b *behind) { b.sub(config, "strict: true", "unmapped: guest") }, unmappedHeaders, "403 unmapped", "200 guest"},
	{"unmapped, no certificate", func(b *behind) { b.sub(config, "strict: true", "unmapped: guest") }, noneHeaders, "403 no-certificate", "403 no-certificate"},
	{"strict", func(b *behind) { b.sub(config, "strict: true", "strict: false") }, noneHeaders, "403 no-certificate", "200 Default"},
	{"strict, and no header", func(b *behind) { b.sub(config, "strict: true", "strict: false") }, noHeaders, "400 bad-header", "400 bad-header"},
	{"no verified any more", func(b *behind) { b.sub(config, verifiedLine+"\n      ", "") }, noHeaders, "400 bad-header", "403 no-certificate"},
	{"user revoked", func(b *behind) { b.put("ca.crl", b.crl(2, b.alice)) }, aliceHeaders, "200 alice", "403 revoked"},
	{"another revoked", func(b *behind) { b.put("ca.crl", b.crl(2, b.bob)) }, aliceHeaders, "200 alice", "200 alice"},
	{"users' anchors", func(b *behind) {
		for range 2 {
			b.sub("users.yaml", "issuer: ca.pem", "issuer: old.pem")
		}
		b.put("old.pem", b.get("ca.pem"))
		b.put("ca.pem", string(b.other.CertPEM()))
		b.put("ca.crl", crlPEM(b.other.CRL(1, nil)))
	}, aliceHeaders, "200 alice", "403 unknown-authority"},
	{"another format", func(b *behind) { b.sub(config, nginxFormat+"\n      "+verifiedLine, "format: rfc9440") }, aliceHeaders, "200 alice", "403 no-certificate"},
	{"another header", func(b *behind) { b.sub(config, nginxFormat, nginxFormat+"\n      header: X-Other-Cert") }, aliceHeaders, "200 alice", "400 bad-header"},
	{"gateway's name", func(b *behind) { b.sub(config, "names: [gateway.", "names: [new.") }, aliceHeaders, "200 alice", "403 untrusted-gateway"},
	{"gateway pinned", func(b *behind) {
		b.sub(config, "names: [gateway.acme.example]", "fingerprints: ['"+b.pin(b.gateway)+"']")
	}, aliceHeaders, "200 alice", "200 alice"},
	{"gateway revoked", func(b *behind) { b.put("gateway-ca.crl", crlPEM(b.gatewayCA.CRL(2, serials(b.gateway)))) }, aliceHeaders, "200 alice", "refused"},
	{"gateways' anchors", func(b *behind) {
		b.put("gateway-ca.pem", string(b.other.CertPEM()))
		b.put("gateway-ca.crl", crlPEM(b.other.CRL(1, nil)))
	}, aliceHeaders, "200 alice", "refused"},
	{"no gateways any more", func(b *behind) {
		b.sub(config, forwardedLines, "    trust: {anchors: [gateway-ca.pem]}\n")
	}, aliceHeaders, "200 alice", "403 unmapped"},
}

func aliceHeaders(b *behind) []string    { return nginxHeaders(b.alice) }
func unmappedHeaders(b *behind) []string { return nginxHeaders(b.ca.Leaf("stranger")) }
func noneHeaders(*behind) []string       { return []string{"X-Ssl-Client-Verify", "NONE"} }
func noHeaders(*behind) []string         { return nil }

// The next request through the gateway follows the new configuration, on the connection that
// is open.
// Covers F9, G2, G6.
func TestReloadAppliesToForwardedCertificates(t *testing.T) {
	t.Parallel()
	for _, row := range behindRows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBehind(t)
			l := b.start(mtlsguard.Options{})
			url, state := l.url("internal", "/whoami"), row.forward(b)
			clients := map[string]*http.Client{
				"HTTP/1.1": b.client(b.gateway), "HTTP/2": b.client(b.gateway, testkit.HTTP2), "resumed": b.client(b.gateway, testkit.Resuming),
			}
			for name, c := range clients {
				for range 2 {
					if got := get(withHeaders(c, state...), url); got != row.before {
						t.Fatalf("%s: before: %s, want %s", name, got, row.before)
					}
				}
			}
			row.change(b)
			if err := l.server.Reload(); err != nil {
				t.Fatal(err)
			}
			for name, c := range clients {
				for range 2 {
					if got := getAfter(t, withHeaders(c, state...), url, row.after); got != row.after {
						t.Errorf("%s: after: %s, want %s", name, got, row.after)
					}
				}
			}
		})
	}
}

// A reload that does not change the gateways' trust closes no connection of a gateway,
// whatever it changes in the users' trust. An older CRL is refused.
// Covers I7, I8.
func TestReloadKeepsTheConnectionOfAGateway(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.put("ca.crl", b.crl(5))
	l := b.start(mtlsguard.Options{})
	url := l.url("internal", "/whoami")
	number := int64(0)
	for name, c := range map[string]*http.Client{"HTTP/1.1": b.client(b.gateway), "HTTP/2": b.client(b.gateway, testkit.HTTP2)} {
		connections := 0
		number += 10
		expect := func(holder *testpki.Pair, want string) {
			t.Helper()
			r, err := http.NewRequest("GET", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			r = r.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
				if !i.Reused {
					connections++
				}
			}}))
			if got := answer(withHeaders(c, nginxHeaders(holder)...).Do(r)); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
		reload := func() {
			t.Helper()
			if err := l.server.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		expect(b.alice, "200 alice")
		b.put("ca.crl", b.crl(number, b.alice))
		reload()
		expect(b.alice, "403 revoked")
		expect(b.bob, "200 bob")
		b.put("ca.crl", b.crl(number-1))
		if err := l.server.Reload(); err == nil {
			t.Errorf("%s: an older CRL of the users is accepted", name)
		}
		expect(b.alice, "403 revoked")
		b.put("ca.crl", b.crl(number+1))
		reload()
		expect(b.alice, "200 alice")
		if connections != 1 {
			t.Errorf("%s: %d connections", name, connections)
		}
	}
}

// A log line about a request behind a gateway names the gateway and the user's certificate,
// if they are verified.
// Covers F14.
func TestLogLinesNameTheGateway(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.sub(config, forwardedLines[:14], "    trust: {anchors: [gateway-ca.pem, ca.pem]}\n"+forwardedLines[:14])
	l := b.start(mtlsguard.Options{})
	other := b.gatewayCA.Leaf("other", named("other.acme.example"))
	for i, row := range []struct {
		holder        *testpki.Pair
		forward       []string
		path, want    string
		gateway, user *testpki.Pair // nil: the line has no such field
		subject       string
	}{
		{b.gateway, nginxHeaders(b.alice), "/whoami", "200 alice", b.gateway, b.alice, "CN=alice"},
		{b.gateway, nginxHeaders(b.bob), "/orders/1", "403 denied", b.gateway, b.bob, ""},
		{b.gateway, nginxHeaders(b.ca.Leaf("stranger")), "/whoami", "403 unmapped", b.gateway, nil, "CN=stranger"},
		{b.gateway, []string{"X-Ssl-Client-Verify", "NONE"}, "/whoami", "403 no-certificate", b.gateway, nil, ""},
		{b.gateway, []string{"X-Ssl-Client-Cert", "nonsense", "X-Ssl-Client-Verify", "SUCCESS"}, "/whoami", "400 bad-header", b.gateway, nil, ""},
		{b.gateway, nginxHeaders(b.alice), "/a//b", "400 ambiguous-path", b.gateway, nil, ""},
		{other, nginxHeaders(b.alice), "/whoami", "403 untrusted-gateway", other, nil, ""},
		{b.alice, nginxHeaders(b.bob), "/whoami", "403 untrusted-gateway", nil, nil, ""},
	} {
		path := fmt.Sprintf("%s?%d", row.path, i)
		if got := get(withHeaders(b.client(row.holder), row.forward...), l.url("internal", path)); got != row.want {
			t.Fatalf("%d: got %s, want %s", i, got, row.want)
		}
		testkit.Eventually(t, "the line", func() bool { return len(l.log.find("event", "decision")) == i+1 })
		line := l.log.find("event", "decision")[i]
		for key, holder := range map[string]*testpki.Pair{"gateway": row.gateway, "fingerprint": row.user} {
			switch got, there := line[key]; {
			case holder != nil && got != b.pin(holder):
				t.Errorf("%d: %s is %v, want %s", i, key, got, b.pin(holder))
			case holder == nil && there && row.subject == "":
				t.Errorf("%d: %s is %v, want none", i, key, got)
			}
		}
		if subject, _ := line["subject"].(string); !strings.HasPrefix(subject, row.subject) {
			t.Errorf("%d: subject %q", i, subject)
		}
		if _, reason, _ := strings.Cut(row.want, " "); row.want[:3] != "200" && line["reason"] != reason {
			t.Errorf("%d: logged %v, want the reason %s", i, line, reason)
		}
	}
	for _, secret := range []string{"nonsense", "BEGIN", base64.StdEncoding.EncodeToString(b.alice.Cert.Raw)[:40]} {
		if strings.Contains(l.log.text(), secret) {
			t.Errorf("the log repeats a forwarded header: %s", secret)
		}
	}
}

// With debug on, a refusal explains the forwarded certificate.
// Covers F13.
func TestDebugExplainsTheForwardedCertificate(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	for _, debug := range []bool{true, false} {
		l := b.start(mtlsguard.Options{Debug: debug})
		res, err := withHeaders(b.client(b.gateway), nginxHeaders(b.alice)...).Get(l.url("internal", "/nowhere"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		for _, part := range []string{"gateway: fingerprint " + b.pin(b.gateway), "certificate: fingerprint " + b.pin(b.alice), "user: alice, by forwarded", "mapping: "} {
			if strings.Contains(string(body), part) != debug {
				t.Errorf("debug %t: %q in %s", debug, part, body)
			}
		}
		l.end()
	}
}

// The headers of a port for gateways are deleted on the other ports too: one handler may
// serve all of them.
// Covers F1, F17.
func TestForwardedHeadersAreDroppedOnOtherPorts(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.sub(config, nginxFormat, nginxFormat+"\n      header: Acme-Caller")
	b.sub(config, "header: X-SSL-Client-Verify", "header: Acme-Verdict")
	b.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if strings.HasPrefix(strings.ToLower(name), "acme") && name != "Acme-Trace" {
				io.WriteString(w, "leaked "+name+" to ")
			}
		}
		whoami(w, r)
	})
	l := b.start(mtlsguard.Options{})
	pem := nginxHeaders(b.bob)[1]
	for _, port := range []string{"internal", "public"} {
		holder, user := b.alice, "alice"
		truth := []string{"Acme-Trace", "7"}
		if port == "internal" {
			holder, truth = b.gateway, append(truth, "Acme-Caller", nginxHeaders(b.alice)[1], "Acme-Verdict", "SUCCESS")
		}
		for _, name := range []string{"Acme-Caller", "acme-caller", "ACME_CALLER", "Acme.Caller", "Acme-Verdict", "acme_verdict"} {
			for way, c := range map[string]*http.Client{"HTTP/1.1": b.client(holder), "HTTP/2": b.client(holder, testkit.HTTP2)} {
				want := "200 " + user
				if port == "internal" {
					want = "400 bad-header" // the header comes twice, or in two spellings
				}
				if got := get(withHeaders(c, append([]string{name, pem}, truth...)...), l.url(port, "/whoami")); got != want {
					t.Errorf("%s, %s, %s: got %s, want %s", port, way, name, got, want)
				}
			}
		}
		if got := get(withHeaders(b.client(holder), truth...), l.url(port, "/whoami")); got != "200 "+user {
			t.Errorf("%s: got %s, want %s", port, got, "200 "+user)
		}
	}
	if got := get(withHeaders(b.client(nil), "Acme-Caller", pem, "Acme-Verdict", "SUCCESS"), l.url("public", "/whoami")); got != "200 Default" {
		t.Errorf("no certificate: got %s", got)
	}
}

// The users' CRLs count for readiness as the gateways' do, and are fetched as these are.
// Covers L11, I6.
func TestReadinessCoversTheCRLsOfForwardedCertificates(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"ca.crl", "gateway-ca.crl"} {
		b := newBehind(t)
		var now testkit.Clock
		soon := func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(time.Hour) }
		lists := map[string]*x509.RevocationList{"ca.crl": b.ca.CRL(1, nil, soon), "gateway-ca.crl": b.gatewayCA.CRL(1, nil, soon)}
		b.put(file, crlPEM(lists[file]))
		l := b.start(mtlsguard.Options{Now: now.Now})
		if code, why := ready(l.server); code != 200 {
			t.Errorf("%s: got %d %s, want 200", file, code, why)
		}
		if got := l.server.Status().Ports[0].FreshUntil; !got.Equal(lists[file].NextUpdate) {
			t.Errorf("%s: fresh until %s, want %s", file, got, lists[file].NextUpdate)
		}
		now.Advance(2 * time.Hour)
		if code, why := ready(l.server); code != 200 || !strings.Contains(why, "degraded: port internal: a CRL is past its next update") {
			t.Errorf("%s: got %d %s, want 200, degraded", file, code, why)
		}
		l.end()
	}

	b := newBehind(t)
	d := newDistribution(t, b.ca.CRL(3, serials(b.alice)))
	b.sub(config, "reload: 0", "reload: 50ms")
	b.sub(config, usersLine, fmt.Sprintf("trust: {anchors: [ca.pem], crls: [fetched.crl], fetch: [{url: %q, file: fetched.crl}]}", d.URL))
	b.put("fetched.crl", crlPEM(b.ca.CRL(2, nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) })))
	l := b.start(mtlsguard.Options{})
	alice, bob := withHeaders(b.client(b.gateway), nginxHeaders(b.alice)...), withHeaders(b.client(b.gateway), nginxHeaders(b.bob)...)
	url := l.url("internal", "/whoami")
	l.waitFor("the list that was fetched", func() string { return get(alice, url) + ", " + get(bob, url) }, "403 revoked, 200 bob")
}
