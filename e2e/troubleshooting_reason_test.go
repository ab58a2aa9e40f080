//go:build linux

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/reason"
)

// refusedLeaf is the case of a reason whose certificate has a file of its own.
func refusedLeaf(r reason.Reason, name string, options ...testpki.Option) troubleCase {
	return troubleCase{see: string(r), reason: r, call: curl, options: curlOf(name), prepare: func(s *scene) {
		s.add(name, s.ca.Leaf("alice", append([]testpki.Option{staff}, options...)...))
	}}
}

func requestOf(name, path string) []string {
	return append(curlOf(name), "--path-as-is", "https://localhost:8443"+path)
}

var reasonTroubles = []troubleCase{
	{see: "no-certificate", reason: reason.NoCertificate, call: curl},
	{see: "unknown-authority", reason: reason.UnknownAuthority, call: curl, options: curlOf("partner")},
	{see: "expired", reason: reason.Expired, call: curl, options: curlOf("expired")},
	{see: "unmapped", reason: reason.Unmapped, call: curl, options: curlOf("stranger")},
	{see: "no-rule", reason: reason.NoRule, call: curl, options: requestOf("alice", "/reports")},
	{see: "denied", reason: reason.Denied, call: curl, options: requestOf("bob", "/orders/7")},
	{see: "revocation-unknown", reason: reason.RevocationUnknown, call: curl, options: curlOf("alice"), prepare: endedCRL},
	{see: "revoked", reason: reason.Revoked, call: curl, options: curlOf("revoked")},
	{see: "limit", reason: reason.Limit, call: besideAnother, prepare: func(s *scene) {
		s.sub("mtlsguard.yaml", "limits: {drain: 1s}", "limits: {connections_per_ip: 1, drain: 1s}")
	}},
	{see: "address", reason: reason.Address, call: curl, options: curlOf("alice"), prepare: func(s *scene) {
		s.sub("mtlsguard.yaml", "limits: {drain: 1s}", "limits: {drain: 1s}\n    addresses: {allow: [10.0.0.0/8]}")
	}},
	{see: "timeout", reason: reason.Timeout, call: slowly, prepare: func(s *scene) {
		s.sub("mtlsguard.yaml", "limits: {drain: 1s}", "limits: {handshake: 20ms, drain: 1s}")
	}},
	{see: "untrusted-gateway", reason: reason.UntrustedGateway, call: asGateway, prepare: func(s *scene) {
		forwarding(s, "nginx", `gateway: {anchors: [gateway-ca.pem], fingerprints: ["`+strings.Repeat("5f", 32)+`"]}`)
	}},
	{see: "bad-header", reason: reason.BadHeader, call: asGateway, prepare: func(s *scene) {
		forwarding(s, "haproxy", "gateway: {anchors: [gateway-ca.pem], names: [gateway.acme.example]}")
	}},
	{see: "misdirected", reason: reason.Misdirected, call: curl, options: curlOf("alice"), prepare: func(s *scene) {
		s.sub("mtlsguard.yaml", "    strict: true\n", "    strict: true\n    server_names: [api.acme.example]\n")
	}},
	refusedLeaf(reason.NotYetValid, "early", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(48*time.Hour)
	}),
	refusedLeaf(reason.WrongUsage, "no-usage", func(c *x509.Certificate) { c.ExtKeyUsage = nil }),
	{see: "not-a-leaf", reason: reason.NotALeaf, call: curl, options: curlOf("authority"), prepare: func(s *scene) { s.add("authority", s.ca) }},
	{see: "weak-key", reason: reason.WeakKey, call: opensslClient, always: []string{"-cipher", "DEFAULT@SECLEVEL=0"}, options: []string{"-cert", "weak.pem", "-key", "weak-key.pem"}, prepare: func(s *scene) {
		key := testkit.RSAKey(s, 1024)
		s.add("weak", s.ca.LeafWithKey("alice", key, staff))
	}},
	refusedLeaf(reason.TooLarge, "large", func(c *x509.Certificate) {
		for i := range 101 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.acme.example", i))
		}
	}),
	refusedLeaf(reason.BadCertificate, "critical", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	}),
	{see: "bad-credentials", reason: reason.BadCredentials, call: curl, options: []string{"-u", "carol:wrong"}, prepare: func(s *scene) {
		anonymous(s)
		s.options.Authenticators = map[string][]middleware.Authenticator{"internal": {passwords(s)}}
	}},
	{see: "ambiguous", reason: reason.Ambiguous, call: curl, options: curlOf("two"), prepare: func(s *scene) {
		s.add("two", s.ca.Leaf("two", func(c *x509.Certificate) { c.DNSNames = []string{"a.acme.example", "b.acme.example"} }))
		s.put("users.yaml", sceneUsers+"  - {id: a, user: a, dns: a.acme.example, issuer: client-ca.pem}\n  - {id: b, user: b, dns: b.acme.example, issuer: client-ca.pem}\n")
	}},
	{see: "mapping-expired", reason: reason.MappingExpired, call: curl, options: curlOf("orders"), prepare: func(s *scene) {
		s.add("orders", s.ca.Leaf("orders", func(c *x509.Certificate) { c.DNSNames = []string{"orders.acme.example"} }))
		s.put("users.yaml", sceneUsers+"  - {id: orders, user: orders, dns: orders.acme.example, issuer: client-ca.pem, not_after: 2026-01-01}\n")
	}},
	{see: "ambiguous-path", reason: reason.AmbiguousPath, call: curl, always: curlOf("alice"), options: []string{"--path-as-is", "https://localhost:8443//whoami"}},
	{see: "quota", reason: reason.Quota, call: twice, options: curlOf("alice"), prepare: func(s *scene) {
		s.put("mtlsguard.yaml", s.get("mtlsguard.yaml")+"quotas:\n  - {name: each, per: user, rate: 1/h}\n")
	}},
	{see: "upstream", reason: reason.Upstream, call: curl, options: curlOf("alice"), prepare: func(s *scene) {
		s.web = strings.TrimPrefix(service(s, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hello "+r.Header.Get("X-Mtlsguard-User"))
		}), "http://")
		s.sub("mtlsguard.yaml", "    strict: true\n", fmt.Sprintf("    upstream: {url: \"http://%s\"}\n    strict: true\n", testkit.FreeAddress(s)))
	}},
	{see: "no-port", reason: reason.NoPort, call: withoutPort, program: func(s *scene) { s.configured = true }},
	{see: "policy-error", reason: reason.PolicyError, call: curl, options: []string{"-u", "carol:right"}, prepare: func(s *scene) {
		anonymous(s)
		s.options.Authenticators = map[string][]middleware.Authenticator{"internal": {failing{}}}
	}, program: func(s *scene) {
		s.options.Authenticators = map[string][]middleware.Authenticator{"internal": {passwords(s)}}
	}},
}

// twice makes a request, and returns the answer to a second one.
func twice(s *scene, options []string) string {
	curl(s, options)
	return curl(s, options)
}

// besideAnother makes a request while another client of the same address is connected.
func besideAnother(s *scene, _ []string) string {
	alice := s.pairs["alice"].TLS()
	c, err := tls.Dial("tcp", strings.TrimPrefix(s.live.url("internal", ""), "https://"), &tls.Config{RootCAs: s.serve.Pool(), Certificates: []tls.Certificate{alice}, ServerName: "localhost"})
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	return curl(s, curlOf("alice"))
}

// slowly connects, and begins the handshake when the server has given up, or after 100 ms.
func slowly(s *scene, _ []string) string {
	raw, err := net.Dial("tcp", strings.TrimPrefix(s.live.url("internal", ""), "https://"))
	if err != nil {
		s.Fatal(err)
	}
	defer raw.Close()
	raw.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	raw.Read(make([]byte, 1))
	raw.SetReadDeadline(time.Time{})
	alice := s.pairs["alice"].TLS()
	transport := &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c := tls.Client(raw, &tls.Config{RootCAs: s.serve.Pool(), Certificates: []tls.Certificate{alice}, ServerName: "localhost"})
		return c, c.HandshakeContext(ctx)
	}, DisableKeepAlives: true}
	res, err := (&http.Client{Transport: transport, Timeout: testkit.Patience}).Get(s.url())
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

// forwarding makes the port one behind a gateway.
func forwarding(s *scene, format, gateway string) {
	ca := testpki.NewCA("Gateway CA")
	s.add("gateway", ca.Leaf("gateway", func(c *x509.Certificate) { c.DNSNames = []string{"gateway.acme.example"} }))
	s.put("gateway-ca.pem", string(ca.CertPEM()))
	config := s.get("mtlsguard.yaml")
	at, end := strings.Index(config, "    trust:"), strings.Index(config, "    strict:")
	s.put("mtlsguard.yaml", config[:at]+"    forwarded:\n      format: "+format+"\n      "+gateway+"\n      trust: {anchors: [client-ca.pem]}\n"+config[end:])
}

// asGateway makes alice's request as nginx does.
func asGateway(s *scene, _ []string) string {
	return curl(s, append(curlOf("gateway"), "-H", "X-SSL-Client-Cert: "+url.PathEscape(s.get("alice.pem")), "-H", "X-SSL-Client-Verify: SUCCESS"))
}

func passwords(s *scene) middleware.Authenticator {
	return middleware.Basic{Check: func(_ context.Context, user, password string) (bool, error) {
		return user == "carol" && password == "right", nil
	}}
}

type failing struct{ middleware.Authenticator }

// withoutPort serves the handler by net/http/httptest, until the program is mended.
func withoutPort(s *scene, _ []string) string {
	if s.configured {
		return curl(s, curlOf("alice"))
	}
	plain := httptest.NewServer(s.live.server.Handler(s.handler))
	defer plain.Close()
	res, err := http.Get(plain.URL + "/whoami")
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

// Every reason has a row.
func TestTroubleshootingHasEveryReason(t *testing.T) {
	t.Parallel()
	rows := troubles(t)
	for _, r := range reason.All() {
		if !slices.ContainsFunc(rows, func(row trouble) bool { return row.see == string(r) }) {
			t.Errorf("no row for %s", r)
		}
	}
}

func (c troubleCase) testReason(t *testing.T, s *scene, row trouble) {
	printed := c.provoke(s)
	s.checkLog(c, row)
	if strings.Contains(printed, `"reason"`) && !strings.Contains(printed, `"reason":"`+c.see+`"`) {
		t.Errorf("the answer: %s", printed)
	}
	s.writeLog()
	for _, command := range spans(row.command) {
		if shown := s.shell(command); !strings.Contains(shown, c.see) {
			t.Errorf("%s prints:\n%s", command, shown)
		}
	}
	s.mend(c, row)
}

// The commands outside the tables of the page run. The first one explains a refusal.
func TestTroubleshootingCommandsRun(t *testing.T) {
	testkit.SkipUnderRace(t, "the commands are processes of their own, without the detector")
	t.Parallel()
	s := newScene(t, nil)
	s.start()
	curl(s, requestOf("bob", "/orders/7"))
	testkit.Eventually(t, "the line of the refusal", func() bool { return len(s.live.log.find("reason", "denied")) > 0 })
	s.writeLog()
	commands := troubleshootingCommands(t)
	if len(commands) < 3 {
		t.Fatalf("%d commands: %q", len(commands), commands)
	}
	for i, command := range commands {
		out := s.shell(command + "; echo status $?")
		if strings.Contains(out, "status 2") || strings.Contains(out, "error:") {
			t.Errorf("%s prints:\n%s", command, out)
		}
		if i == 0 && !shows(out, "denied … policy.csv:4") {
			t.Errorf("%s prints:\n%s", command, out)
		}
	}
}
