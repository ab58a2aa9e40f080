package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

const (
	plainUsers  = "mappings:\n  - {id: alice-2026, user: alice, subject: CN=alice, issuer: ca.pem}\n"
	plainPolicy = `p, group:staff, *, *, /*, allow
p, group:staff, *, OPTIONS, *, allow
p, group:Anonymous, *, GET, /whoami, allow
p, user:alice, *, *, /secret/*, deny
g, user:alice, group:zebra
g, group:zebra, group:staff
`
)

func plainSite(t *testing.T, arguments ...string) *site {
	s := newSite(t)
	s.files(plainUsers, plainPolicy, s.port("internal", "require"), s.port("public", "request", "strict: false"))
	s.start(arguments...)
	return s
}

// The answer has exactly the documented fields, for every path and method.
func TestWhoamiAnswersEveryPath(t *testing.T) {
	t.Parallel()
	s := plainSite(t)
	pair := s.ca.Leaf("alice")
	alice, anonymous := s.client(pair), s.client(nil)
	fingerprint := trust.FingerprintOf(pair.Cert).String()
	line := func(method, path string) string {
		return `{"user":"alice","groups":["Authenticated","Everybody","staff","zebra"],"port":"internal","method":"` + method + `","path":"` + path +
			`","via":"tls","mapping":"alice-2026","fingerprint":"` + fingerprint + `"}` + "\n"
	}
	for _, row := range []struct{ method, target, want string }{
		{"GET", "/whoami", line("GET", "/whoami")},
		{"GET", "/whoami?path=/other", line("GET", "/whoami")},
		{"POST", "/whoami", line("POST", "/whoami")},
		{"DELETE", "/", line("DELETE", "/")},
		{"PUT", "/a/b%20c/%C3%A9", line("PUT", "/a/b c/é")},
		{"GET", "/a%25zz;x=1", line("GET", "/a%zz;x=1")},
		{"PATCH", "/whoami/", line("PATCH", "/whoami/")},
		{"OPTIONS", "/whoami", line("OPTIONS", "/whoami")},
	} {
		a := s.request(alice, row.method, "internal", row.target)
		if a == nil || a.status != http.StatusOK || a.body != row.want || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s:\ngot  %+v\nwant %s", row.method, row.target, a, row.want)
		}
	}
	if a := s.request(alice, "HEAD", "internal", "/whoami"); a.short() != "200" || a.body != "" {
		t.Errorf("HEAD: %+v", a)
	}
	want := `{"user":"Default","groups":["Anonymous","Everybody"],"port":"public","method":"GET","path":"/whoami","via":"anonymous","mapping":"","fingerprint":""}` + "\n"
	if a := s.request(anonymous, "GET", "public", "/whoami"); a.body != want {
		t.Errorf("anonymous:\ngot  %s\nwant %s", a.body, want)
	}
}

// raw sends the bytes of a request and returns the answer.
func (s *site) raw(holder *testpki.Pair, port, request string) (*http.Response, string) {
	s.Helper()
	c := &tls.Config{RootCAs: s.serverCA.Pool(), ServerName: "localhost"}
	if holder != nil {
		c.Certificates = []tls.Certificate{holder.TLS()}
	}
	conn, err := tls.Dial("tcp", s.addr[port], c)
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, request)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.Fatalf("%q: %v", request, err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

// A request target with two interpretations is refused on the wire. "OPTIONS *" is an ordinary
// request.
// Covers E1.
func TestAmbiguousTargetsAreRefused(t *testing.T) {
	t.Parallel()
	s := plainSite(t)
	alice := s.ca.Leaf("alice")
	for _, target := range []string{
		"/a%2fb", "/a%2Fb", "/a%5cb", "/%2e%2e/b", "/a/%2E", "/a%00b", "/a%0ab", "/a//b", "//a", "/a/../b", "/a/./b", "/a/..", "/a\\b", "/a%ffb", "/a#b", "*",
		"http://localhost/a",
	} {
		res, body := s.raw(alice, "internal", "GET "+target+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %s %s", target, res.Status, body)
		}
	}
	res, body := s.raw(alice, "internal", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, `"method":"OPTIONS","path":"*"`) {
		t.Errorf("OPTIONS *: %s %s", res.Status, body)
	}
	if res, body := s.raw(nil, "public", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"); res.StatusCode != http.StatusForbidden {
		t.Errorf("OPTIONS * without a certificate: %s %s", res.Status, body)
	}
	if res, body := s.raw(alice, "internal", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("CONNECT: %s %s", res.Status, body)
	}
	for _, header := range []string{"Client-Cert: :AAAA:", "X-Forwarded-Client-Cert: Hash=1", "X_Remote_User: alice", "Remote-User: alice", "X-SSL-Client-S-DN: CN=alice"} {
		if res, body := s.raw(nil, "public", "GET /whoami HTTP/1.1\r\nHost: localhost\r\n"+header+"\r\n\r\n"); res.StatusCode != 200 || !strings.Contains(body, `"user":"Default"`) {
			t.Errorf("%s: got %s %s", header, res.Status, body)
		}
	}
}

// A refusal is a problem document with the reason, without the rules, and with the
// reference of the log line.
// Covers L6.
func TestRefusalIsAProblemDocumentWithTheLogsReference(t *testing.T) {
	t.Parallel()
	s := plainSite(t)
	alice, unmapped, anonymous := s.client(s.ca.Leaf("alice")), s.client(s.ca.Leaf("stranger")), s.client(nil)
	for _, row := range []struct {
		a      *answer
		status int
		reason string
	}{
		{s.request(alice, "GET", "internal", "/secret/plans"), 403, "denied"},
		{s.request(unmapped, "GET", "internal", "/x"), 403, "unmapped"},
		{s.request(anonymous, "GET", "public", "/x"), 403, "no-rule"},
		{s.request(alice, "GET", "internal", "/a/%2e%2e/b"), 400, "ambiguous-path"},
	} {
		var keys []string
		for k := range row.a.fields {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if row.a.status != row.status || strings.Join(keys, " ") != "reason reference status title type" || row.a.fields["reason"] != row.reason ||
			row.a.fields["status"] != float64(row.status) || row.a.header.Get("Content-Type") != "application/problem+json" ||
			row.a.header.Get("WWW-Authenticate") != "" || row.a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %+v", row.reason, row.a)
		}
		reference, _ := row.a.fields["reference"].(string)
		testkit.Eventually(t, row.reason+" is logged", func() bool { return len(s.log("reference", reference)) > 0 })
		lines := s.log("reference", reference)
		if reference == "" || len(lines) != 1 || lines[0]["reason"] != row.reason || lines[0]["outcome"] != "refuse" {
			t.Errorf("%s: reference %q, logged %v", row.reason, reference, lines)
		}
	}
}

// A refusal has an explanation only with -debug.
func TestDebugExplainsRefusals(t *testing.T) {
	t.Parallel()
	s := plainSite(t, "-debug")
	a := s.request(s.client(s.ca.Leaf("alice")), "GET", "internal", "/secret/plans")
	if a.short() != "403 denied" || !strings.Contains(a.body, "alice") || !strings.Contains(a.body, "policy.csv:4") {
		t.Errorf("got %s", a.body)
	}
}
