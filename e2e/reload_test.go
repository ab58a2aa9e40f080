package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

// liveRow changes one thing while connections are open.
type liveRow struct {
	name          string
	port          string
	holder        func(*site) *testpki.Pair // nil: no certificate
	change        func(*site)
	before, after string
}

func asAlice(s *site) *testpki.Pair    { return s.alice }
func asUnmapped(s *site) *testpki.Pair { return s.ca.Leaf("stranger") }

var liveRows = []liveRow{
	{"users", "internal", asAlice, func(s *site) { s.sub("users.yaml", "user: alice", "user: alicia") }, "200 alice", "200 alicia"},
	{"user removed", "internal", asAlice, func(s *site) { s.put("users.yaml", "mappings: []\n") }, "200 alice", "403 unmapped"},
	{"user disabled", "internal", asAlice, func(s *site) { s.sub("users.yaml", "user: alice", "user: alice, disabled: true") }, "200 alice", "403 unmapped"},
	{"policy denies", "internal", asAlice, func(s *site) { s.put("policy.csv", sitePolicy+"p, user:alice, *, *, /*, deny\n") }, "200 alice", "403 denied"},
	{"policy has no rule", "internal", asAlice, func(s *site) { s.put("policy.csv", "# nothing\n") }, "200 alice", "403 no-rule"},
	{"revoked", "internal", asAlice, func(s *site) { s.put("ca.crl", s.crl(2, s.alice)) }, "200 alice", "refused"},
	{"anchors", "internal", asAlice, func(s *site) {
		s.sub("users.yaml", "issuer: ca.pem", "issuer: old.pem")
		s.sub("users.yaml", "issuer: ca.pem", "issuer: old.pem")
		s.put("old.pem", s.get("ca.pem"))
		s.put("ca.pem", string(s.other.CertPEM()))
		s.put("ca.crl", crlPEM(s.other.CRL(1, nil)))
	}, "200 alice", "refused"},
	{"strict", "public", nil, func(s *site) { s.sub(config, "strict: false", "strict: true") }, "200 Default", "403 no-certificate"},
	{"unmapped", "public", asUnmapped, func(s *site) { s.sub(config, "strict: false", "unmapped: guest") }, "403 unmapped", "200 guest"},
	{"server_names", "public", asAlice, func(s *site) { s.sub(config, "strict: false", "server_names: [api.acme.example]") }, "200 alice", "421 misdirected"},
	{"server certificate", "internal", asAlice, func(s *site) {
		renewed := s.serve.Server()
		s.put("server.pem", string(renewed.CertPEM()))
		s.put("server-key.pem", string(renewed.KeyPEM()))
	}, "200 alice", "200 alice"},
}

// The next request follows the new configuration, on new and open connections.
// Covers G2, G6.
func TestReloadAppliesToOpenConnections(t *testing.T) {
	t.Parallel()
	for _, row := range liveRows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			l := s.start(mtlsguard.Options{})
			var holder *testpki.Pair
			if row.holder != nil {
				holder = row.holder(s)
			}
			clients := map[string]*http.Client{
				"HTTP/1.1": s.client(holder), "HTTP/2": s.client(holder, testkit.HTTP2), "resumed": s.client(holder, testkit.Resuming),
			}
			url := l.url(row.port, "/whoami")
			for name, c := range clients {
				if got := get(c, url); got != row.before {
					t.Fatalf("%s: before: %s, want %s", name, got, row.before)
				}
			}
			row.change(s)
			if err := l.server.Reload(); err != nil {
				t.Fatal(err)
			}
			for name, c := range clients {
				if got := getAfter(t, c, url, row.after); got != row.after {
					t.Errorf("%s: after: %s, want %s", name, got, row.after)
				}
			}
			if l.server.Status().Generation != 2 || len(l.log.find("event", "reload", "outcome", "ok")) != 1 {
				t.Errorf("generation %d, log %v", l.server.Status().Generation, l.log.find("event", "reload"))
			}
		})
	}
}

// A change of trust closes the connections with certificates that it does not trust, within
// a second, and no others.
// Covers G5.
func TestOnlyTheRevokedConnectionIsClosed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	type idle struct {
		*tls.Conn
		name string
	}
	dial := func(name string, holder *testpki.Pair) idle {
		c, err := tls.Dial("tcp", l.server.Ports()[0].Addr().String(), &tls.Config{
			RootCAs: s.serve.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{holder.TLS()},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return idle{c, name}
	}
	request := func(c idle) string {
		io.WriteString(c, "GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n")
		buf := make([]byte, 4096)
		c.SetReadDeadline(time.Now().Add(testkit.Patience))
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%s: the answer: %v", c.name, err)
		}
		status, _, _ := strings.Cut(string(buf[:n]), "\r\n")
		return status
	}
	alice, bob := dial("alice", s.alice), dial("bob", s.bob)
	never := dial("alice, before any request", s.alice)
	for _, c := range []idle{alice, bob} {
		if got := request(c); got != "HTTP/1.1 200 OK" {
			t.Fatalf("%s: got %s, want 200", c.name, got)
		}
	}
	s.put("ca.crl", s.crl(2, s.alice))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []idle{alice, never} {
		c.SetReadDeadline(time.Now().Add(testkit.Patience)) // package ports tests the second
		_, err := c.Read(make([]byte, 1))
		if timeout, ok := errors.AsType[net.Error](err); err == nil || ok && timeout.Timeout() {
			t.Errorf("%s: still open: %v", c.name, err)
		}
	}
	if got := request(bob); got != "HTTP/1.1 200 OK" {
		t.Errorf("bob: %s, want HTTP/1.1 200 OK", got)
	}
}

// A change that an open port cannot apply is an error, is logged, and changes nothing.
func TestReloadThatNeedsARestartIsAnError(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*site){
		"name":    yaml("name: internal", "name: inside"),
		"address": yaml("listen: 127.0.0.1:0", "listen: 127.0.0.1:18443"),
		"mode":    yaml("client_cert: require", "client_cert: request"),
		"fewer": func(s *site) {
			first, _, _ := strings.Cut(siteConfig, "  - name: public")
			s.put(config, first)
		},
		"more": more(config, "  - {name: third, listen: '127.0.0.1:0', client_cert: none, certificate: {cert: server.pem, key: server-key.pem}}\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.sub("users.yaml", ", ports: [internal]", "")
			s.put("policy.csv", "p, group:Everybody, *, GET, /*, allow\n")
			l := s.start(mtlsguard.Options{})
			alice := s.client(s.alice)
			change(s)
			s.put("policy.csv", "p, group:Everybody, *, GET, /*, deny\n")
			err := l.server.Reload()
			if !errors.Is(err, ports.ErrRestart) || len(configerror.All(err)) == 0 {
				t.Errorf("got %v", err)
			}
			if len(l.log.find("level", "WARN", "event", "reload", "outcome", "failed", "file", config, "error", "restart")) == 0 {
				t.Errorf("log: %v", l.log.find("event", "reload"))
			}
			if got := get(alice, l.url("internal", "/whoami")); got != "200 alice" || l.server.Status().Generation != 1 {
				t.Errorf("%s, generation %d: half of the change is in effect", got, l.server.Status().Generation)
			}
		})
	}
}

// The order of ports in the file has no effect.
func TestOrderOfPortsDoesNotMatterInAReload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	first, rest, _ := strings.Cut(siteConfig, "  - name: internal")
	internal, public, _ := strings.Cut(rest, "  - name: public")
	s.put(config, first+"  - name: public"+strings.Replace(public, "strict: false", "strict: true", 1)+"  - name: internal"+internal)
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(s.client(s.alice), l.url("internal", "/orders/1")); got != "200 alice" {
		t.Errorf("internal: %s, want 200 alice", got)
	}
	if got := get(s.client(nil), l.url("internal", "/whoami")); got != "refused" {
		t.Errorf("internal, no certificate: %s", got)
	}
	if got := get(s.client(nil), l.url("public", "/whoami")); got != "403 no-certificate" {
		t.Errorf("public: %s, want 403 no-certificate", got)
	}
}

// A change that is not about trust keeps connections and sessions.
// Covers I8.
func TestReloadKeepsConnectionsAndSessions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	url := l.url("internal", "/whoami")
	for name, c := range map[string]*http.Client{"HTTP/1.1": s.client(s.alice), "HTTP/2": s.client(s.alice, testkit.HTTP2), "resumed": s.client(s.alice, testkit.Resuming)} {
		get(c, url)
		get(c, url) // TLS 1.3 sends tickets with the first answer
		for range 3 {
			s.put("users.yaml", s.get("users.yaml")+"# another\n")
			if err := l.server.Reload(); err != nil {
				t.Fatal(err)
			}
			reused := false
			trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
			r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "GET", url, nil)
			res, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if !reused && !res.TLS.DidResume {
				t.Errorf("%s: neither the connection nor the session was kept", name)
			}
		}
	}
}

// Changed limits apply to new connections.
func TestReloadAppliesLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	big := func(c *http.Client) string {
		r, _ := http.NewRequest("GET", l.url("internal", "/whoami"), nil)
		r.Header.Set("X-Big", strings.Repeat("x", 20_000))
		res, err := c.Do(r)
		if err != nil {
			return "refused"
		}
		res.Body.Close()
		return res.Status[:3]
	}
	if got := big(s.client(s.alice)); got != "200" {
		t.Fatalf("before: %s, want 200", got)
	}
	s.sub(config, "limits: {", "limits: {header_bytes: 8192, ")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the new limit counts", func() bool { return big(s.client(s.alice)) == "431" })
}
