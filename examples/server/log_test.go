package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Every line is JSON with the fields of the documentation.
// Covers L8, L10.
func TestLogLinesHaveTheFieldsOfTheDesign(t *testing.T) {
	t.Parallel()
	s := plainSite(t)
	pair, expired := s.sub.Leaf("alice"), s.ca.Leaf("mallory", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	alice := s.client(pair)
	s.request(alice, "GET", "internal", "/whoami?secret=1")
	s.request(alice, "GET", "internal", "/secret/x")
	s.request(s.client(expired), "GET", "internal", "/whoami")
	fields := func(leaf *x509.Certificate) map[string]string {
		return map[string]string{
			"fingerprint": trust.FingerprintOf(leaf).String(), "subject": leaf.Subject.String(), "issuer": leaf.Issuer.String(),
			"serial": strings.TrimPrefix(strings.ToUpper(hexOf(leaf.SerialNumber.Bytes())), "0x"), "port": "internal",
		}
	}
	expect := func(find []string, also ...map[string]string) {
		t.Helper()
		testkit.Eventually(t, strings.Join(find, " "), func() bool { return len(s.log(find...)) > 0 })
		line := s.log(find...)[0]
		for _, set := range also {
			for key, want := range set {
				if line[key] != want {
					t.Errorf("%v: %s is %v, want %s", find, key, line[key], want)
				}
			}
		}
		for _, key := range []string{"time", "level", "msg", "event", "generation"} {
			if line[key] == nil {
				t.Errorf("%v: no %s in %v", find, key, line)
			}
		}
		if remote, _ := line["remote"].(string); line["event"] == "decision" || line["event"] == "handshake" {
			if host, _, err := net.SplitHostPort(remote); err != nil || host != "127.0.0.1" {
				t.Errorf("%v: remote %q", find, remote)
			}
		}
	}
	policy := s.config()[:len(s.config())-len("mtlsguard.yaml")] + "policy.csv"
	expect([]string{"event", "ready", "outcome", "ok"})
	expect([]string{"event", "decision", "outcome", "allow"}, fields(pair.Cert),
		map[string]string{"user": "alice", "mapping": "alice-2026", "method": "GET", "path": "/whoami", "rule": policy + ":1"})
	expect([]string{"event", "decision", "outcome", "refuse"}, fields(pair.Cert),
		map[string]string{"user": "alice", "reason": "denied", "path": "/secret/x", "rule": policy + ":4"})
	expect([]string{"event", "handshake", "outcome", "refuse", "reason", "expired"}, fields(expired.Cert))
	s.stop()
	expect([]string{"event", "drain"})
	if strings.Contains(s.stderr.String(), "secret=1") {
		t.Error("a query is in the log")
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// Text of a caller cannot forge a log line, change how it is displayed, or make it long.
// Covers L7.
func TestTextOfCallersCannotForgeLogLines(t *testing.T) {
	t.Parallel()
	s := plainSite(t)
	for _, name := range []string{"a\nb", "a\x1b[31mb", "a\u202eb", "a\u200bb", "a\x00b", strings.Repeat("é", 120), strings.Repeat("\x1b", 250)} {
		for _, pair := range []*x509.Certificate{nil, {}} {
			signer := s.ca
			if pair != nil {
				signer = s.other // refused and logged in the handshake
			}
			leaf := signer.Leaf("", func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: name} })
			s.request(s.client(leaf), "GET", "internal", "/x")
		}
	}
	alice := s.ca.Leaf("alice")
	for _, path := range []string{"/a%1b%5b31m", "/" + strings.Repeat("x", 5000), "/%e2%80%ae/evil", "/%0d%0a{\"event\":\"decision\"}", "/\xff\xfe"} {
		s.raw(alice, "internal", "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	s.raw(alice, "internal", strings.Repeat("M", 3000)+" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	testkit.Eventually(t, "every line is logged", func() bool {
		return len(s.log("event", "handshake", "outcome", "refuse")) == 7 && len(s.log("event", "decision")) == 7+6
	})
	for _, line := range s.log() {
		for key, value := range line {
			text, ok := value.(string)
			if !ok {
				continue
			}
			if i := strings.IndexFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }); i >= 0 {
				t.Errorf("%s holds %q", key, text)
			}
			if len(text) > 300 {
				t.Errorf("%s has %d bytes", key, len(text))
			}
		}
	}
}
