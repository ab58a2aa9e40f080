package otel_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/observe/otel"
)

// A span around the guard has the decision and the certificate, and no names.
// Covers L8.
func TestSpanAroundTheGuardHasTheDecision(t *testing.T) {
	t.Parallel()
	l := outside(t, otel.Config{})
	if got := l.Request(l.Client(l.Alice), l.server, "internal", "/orders/7"); got != 200 {
		t.Fatal(got)
	}
	allowed := l.span()
	l.expect(allowed, map[string]string{
		"tls.established": "true", "tls.protocol.name": "tls", "tls.protocol.version": "1.3", "tls.resumed": "false", "tls.cipher": "TLS_AES_128_GCM_SHA256",
		"tls.client.hash.sha256": hash(l.Alice), "tls.client.issuer": "CN=Client CA", "tls.client.not_after": l.Alice.Cert.NotAfter.UTC().Format(time.RFC3339),
		"tls.client.not_before": l.Alice.Cert.NotBefore.UTC().Format(time.RFC3339),
		"mtlsguard.port":        "internal", "mtlsguard.outcome": "allow", "mtlsguard.via": "tls", "mtlsguard.generation": "1", "mtlsguard.rule": l.Path("policy.csv") + ":1",
		"mtlsguard.reason": absent, "mtlsguard.reference": absent, "tls.client.subject": absent, "user.name": absent, "mtlsguard.mapping": absent, "mtlsguard.client.hash.sha256": absent,
	})
	for key, value := range allowed {
		if strings.Contains(value, "alice") {
			t.Errorf("%s names alice", key)
		}
	}
	if got := l.Request(l.Client(l.Bob), l.server, "internal", "/orders/7"); got != 403 {
		t.Fatal(got)
	}
	refused := l.span()
	l.expect(refused, map[string]string{"mtlsguard.outcome": "refuse", "mtlsguard.reason": "denied", "tls.client.hash.sha256": hash(l.Bob)})
	if refused["mtlsguard.reference"] == "" {
		t.Error("a refusal has no reference")
	}
	if got := l.Request(l.Client(nil), l.server, "public", "/"); got != 403 {
		t.Fatal(got)
	}
	l.expect(l.span(), map[string]string{"mtlsguard.reason": "no-certificate", "tls.client.hash.sha256": absent, "mtlsguard.via": absent, "tls.protocol.version": "1.3"})
}

// A span inside the guard has the same attributes of the caller.
// Covers L8.
func TestSpanInsideTheGuardHasTheCaller(t *testing.T) {
	t.Parallel()
	l := inside(t, otel.Config{})
	if got := l.Request(l.Client(l.Alice), l.server, "internal", "/orders/7"); got != 200 {
		t.Fatal(got)
	}
	l.expect(l.span(), map[string]string{
		"tls.protocol.version": "1.3", "tls.client.hash.sha256": hash(l.Alice), "tls.client.issuer": "CN=Client CA", "mtlsguard.port": "internal",
		"mtlsguard.outcome": "allow", "mtlsguard.via": "tls", "tls.client.subject": absent, "user.name": absent,
	})
	l.Request(l.Client(l.Bob), l.server, "internal", "/orders/7")
	if n := len(l.spans.Ended()); n != 0 {
		t.Errorf("%d spans of a refused request", n)
	}
}

// Spans have names only with Config.Names.
// Covers L10.
func TestSpansHaveNamesOnlyIfConfigured(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, otel.Config) *live{"outside": outside, "inside": inside} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := start(t, otel.Config{Names: true})
			if got := l.Request(l.Client(l.Alice), l.server, "internal", "/"); got != 200 {
				t.Fatal(got)
			}
			l.expect(l.span(), map[string]string{"user.name": "alice", "mtlsguard.mapping": "alice", "tls.client.subject": "CN=alice"})
			if text := l.metrics(); strings.Contains(text, "alice") {
				t.Errorf("a metric names alice:\n%s", text)
			}
		})
	}
}

// Behind a gateway, tls.client is the gateway and mtlsguard.client the caller.
// Covers F16.
func TestSpanBehindAGatewayHasBothCertificates(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, otel.Config) *live{"outside": outside, "inside": inside} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := start(t, otel.Config{})
			gateway := l.Gateway.Leaf("gateway", func(c *x509.Certificate) { c.DNSNames = []string{"gateway.example"} })
			forwarded := ":" + base64.StdEncoding.EncodeToString(l.Alice.Cert.Raw) + ":"
			if got := l.Request(l.Client(gateway), l.server, "gateway", "/", "Client-Cert", forwarded); got != 200 {
				t.Fatal(got)
			}
			want := map[string]string{"mtlsguard.via": "forwarded", "mtlsguard.client.hash.sha256": hash(l.Alice), "mtlsguard.client.issuer": "CN=Client CA", "mtlsguard.client.subject": absent}
			want["tls.client.hash.sha256"] = absent
			if name == "outside" {
				want["tls.client.hash.sha256"], want["tls.client.issuer"] = hash(gateway), "CN=Gateway CA"
			}
			l.expect(l.span(), want)
		})
	}
}

// Text from a certificate is UTF-8 and bounded.
// Covers L7.
func TestTextFromCertificatesIsBoundedUTF8(t *testing.T) {
	t.Parallel()
	l := outside(t, otel.Config{Names: true})
	hostile := l.CA.Leaf("alice", func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "alice\nuser=admin\u202e", Organization: []string{strings.Repeat("long ", 40)}, OrganizationalUnit: []string{strings.Repeat("long ", 40)}}
		c.DNSNames = []string{"alice.example"}
	})
	l.Put("users.yaml", "mappings: [{id: alice, user: alice, dns: alice.example, issuer: ca.pem}]\n")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	l.Request(l.Client(hostile), l.server, "internal", "/")
	got := l.span()
	if got["tls.client.subject"] == "" {
		t.Fatalf("got %v", got)
	}
	for key, value := range got {
		if len(value) > 300 || !utf8.ValidString(value) || strings.ContainsAny(value, "\n\u202e") {
			t.Errorf("%s is %q", key, value)
		}
	}
}
