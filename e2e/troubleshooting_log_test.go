//go:build linux

package e2e

import (
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// logTrouble provokes a log line that is not a refusal.
type logTrouble struct {
	see      string // the first cell of the row
	prepare  func(*scene)
	provoke  func(*scene)
	always   []string // of curl after the change, besides the options that the row names
	inPlace  bool     // the running server reloads the change
	harmless bool     // the row names no change
}

var logTroubles = []logTrouble{
	{see: "reload failed, the last good configuration stays in effect", inPlace: true, provoke: func(s *scene) {
		s.put("policy.csv", scenePolicy+"p, user:alice, internal, GET, reports, allow\n")
		s.live.server.Reload()
	}},
	{see: "waiting for the other file of a renewed certificate", inPlace: true, provoke: func(s *scene) {
		renewed := s.serve.Server()
		s.put("server.pem", string(renewed.CertPEM()))
		s.put("server-key.pem.new", string(renewed.KeyPEM()))
		s.live.server.Reload()
	}},
	{see: "the CRL of … expired at", inPlace: true, prepare: endedCRL},
	{see: "a CRL is past its next update", inPlace: true, prepare: endedCRL},
	{see: "cannot be fetched", prepare: func(s *scene) {
		endedCRL(s)
		list := newDistribution(s.t, s.ca.CRL(2, nil))
		s.web = strings.TrimPrefix(list.URL, "http://")
		gone := httptest.NewServer(http.NotFoundHandler())
		s.Cleanup(gone.Close)
		s.sub("mtlsguard.yaml", "reload: 0", "reload: 50ms")
		s.sub("mtlsguard.yaml", "      revocation: hard\n", `      revocation: hard`+"\n"+`      fetch: [{url: "`+gone.URL+`/old.crl", file: client-ca.crl}]`+"\n")
	}},
	{see: "the server's certificate of port internal expired at", inPlace: true, prepare: func(s *scene) {
		s.put("server.pem.new", s.get("server.pem"))
		ended := testpki.Make(s.serve, s.server.Key, &x509.Certificate{
			Subject: s.server.Cert.Subject, DNSNames: s.server.Cert.DNSNames, KeyUsage: s.server.Cert.KeyUsage, ExtKeyUsage: s.server.Cert.ExtKeyUsage,
		}, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
		})
		s.put("server.pem", string(ended.CertPEM()))
	}},
	{see: "closed: the certificate is not trusted any more", inPlace: true, provoke: func(s *scene) {
		if got := get(s.client(s.pairs["alice"]), s.live.url("internal", "/whoami")); got != "200 hello alice" {
			s.Fatal(got)
		}
		s.put("client-ca.crl", crlPEM(s.ca.CRL(2, []*big.Int{s.pairs["alice"].Cert.SerialNumber, s.pairs["revoked"].Cert.SerialNumber})))
		if err := s.live.server.Reload(); err != nil {
			s.Fatal(err)
		}
	}},
	{see: "closed: the address is not accepted any more", inPlace: true, provoke: func(s *scene) {
		if got := get(s.client(s.pairs["alice"]), s.live.url("internal", "/whoami")); got != "200 hello alice" {
			s.Fatal(got)
		}
		s.sub("mtlsguard.yaml", "limits: {drain: 1s}", "limits: {drain: 1s}\n    addresses: {allow: [10.0.0.0/8]}")
		if err := s.live.server.Reload(); err != nil {
			s.Fatal(err)
		}
	}},
	{see: "a PROXY header from, with which is not in proxy_protocol.from of the port", always: append(curlOf("alice"), "--haproxy-protocol"), inPlace: true, provoke: func(s *scene) {
		curl(s, append(curlOf("alice"), "--haproxy-protocol"))
	}},
	{see: "the connection begins with TLS, without a PROXY header", always: curlOf("alice"), inPlace: true, prepare: func(s *scene) {
		s.sub("mtlsguard.yaml", "limits: {drain: 1s}", "limits: {drain: 1s}\n    proxy_protocol: {from: [127.0.0.0/8]}")
	}, provoke: func(s *scene) { curl(s, curlOf("alice")) }},
	{see: "local error: tls: bad record MAC", always: curlOf("alice"), inPlace: true, provoke: func(s *scene) { curl(s, append(curlOf("alice"), "no-cacert")) }},
	{see: "remote error: tls: unknown certificate authority, in the server's log", always: curlOf("alice"), inPlace: true, provoke: func(s *scene) {
		curl(s, append(curlOf("alice"), "--tls-max", "1.2", "no-cacert"))
	}},
	{see: "first record does not look like a TLS handshake", always: curlOf("alice"), inPlace: true, provoke: func(s *scene) {
		curl(s, append(curlOf("alice"), "http://localhost:8443/whoami"))
	}},
	{see: "EOF, outcome failed", inPlace: true, provoke: func(s *scene) {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.live.url("internal", ""), "https://"))
		if err != nil {
			s.Fatal(err)
		}
		c.Close()
	}},
	{see: "client offered only unsupported versions", always: append(curlOf("alice"), "--tls-max", "1.2"), prepare: func(s *scene) {
		s.sub("mtlsguard.yaml", `min_version: "1.2"`, `min_version: "1.3"`)
	}, provoke: func(s *scene) { curl(s, append(curlOf("alice"), "--tls-max", "1.2")) }},
	{see: "no cipher suite supported by both client and server", always: append(curlOf("alice"), "--tls-max", "1.2"), inPlace: true, provoke: func(s *scene) {
		curl(s, append(curlOf("alice"), "--tls-max", "1.2", "--ciphers", "AES128-SHA"))
	}},
	{see: "probe=true", harmless: true, provoke: func(s *scene) {
		s.shell("mtlsguard check localhost:8443 /whoami --cacert server-ca.pem --cert alice.pem --key alice-key.pem")
	}},
}

// endedCRL leaves the port with a CRL that is past its next update, and puts the next one
// beside it.
func endedCRL(s *scene) {
	s.put("client-ca.crl.new", crlPEM(s.ca.CRL(2, nil)))
	s.put("client-ca.crl", crlPEM(s.ca.CRL(1, nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) })))
}

func (c logTrouble) test(t *testing.T, s *scene, row trouble) {
	if c.prepare != nil {
		c.prepare(s)
	}
	s.start()
	if c.provoke != nil {
		c.provoke(s)
	}
	testkit.Eventually(t, "a line with "+row.texts[0], func() bool { return shows(s.live.log.text(), row.texts[0]) })
	change := row.remedy()
	if change.isEmpty() != c.harmless {
		t.Fatalf("the change in %q", row.change)
	}
	switch {
	case c.harmless:
	case c.inPlace:
		s.apply(change)
		if err := s.live.server.Reload(); err != nil {
			t.Fatal(err)
		}
	default:
		s.live.end()
		s.apply(change)
		s.start()
	}
	options := slices.Concat(c.always, change.options)
	if !strings.Contains(strings.Join(options, " "), "--cert ") {
		options = append(options, curlOf("alice")...)
	}
	testkit.Eventually(t, "an answer after the change", func() bool { return strings.Contains(curl(s, options), "hello ") })
}
