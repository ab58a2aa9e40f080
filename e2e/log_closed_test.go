package e2e

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// closedLines returns the counts of the lines about closed connections by their user, reason
// and subject.
func closedLines(l *live) map[string]float64 {
	out := map[string]float64{}
	for _, line := range l.log.find("event", "closed") {
		user, _ := line["user"].(string)
		reason, _ := line["reason"].(string)
		subject, _ := line["subject"].(string)
		count, _ := line["count"].(float64)
		out[user+" "+reason+" "+subject] += count
	}
	return out
}

// Connections that are closed because of a revocation, an expiry or a change of trust have a
// line with reason, user and count. Connections of other certificates have none.
func TestClosedConnectionsAreLogged(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change func(*site, *testkit.Clock)
		want   map[string]float64
		detail string
	}{
		{"revoked", func(s *site, _ *testkit.Clock) { s.put("ca.crl", s.crl(2, s.alice)) }, map[string]float64{"alice revoked CN=alice": 5}, "revoked"},
		{"trust", func(s *site, _ *testkit.Clock) {
			s.sub("mtlsguard.yaml", "anchors: [ca.pem]\n      crls: [ca.crl]", "anchors: [other.pem]")
		}, map[string]float64{"alice unknown-authority CN=alice": 5, "bob unknown-authority CN=bob,OU=Staff": 1}, "no anchor for issuer"},
		{"expired", func(s *site, c *testkit.Clock) { c.Set(s.alice.Cert.NotAfter.Add(time.Second)) }, map[string]float64{"alice expired CN=alice": 3}, "was valid until"}, // the idle ones have another request to come
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.TB = t
			clock := &testkit.Clock{}
			s.handler = http.HandlerFunc(streams)
			s.put("other.pem", string(s.other.CertPEM()))
			s.put("policy.csv", strings.ReplaceAll(sitePolicy, "p, user:bob, *, *, /orders/*, deny\n", ""))
			s.bob = s.ca.Leaf("bob", func(c *x509.Certificate) {
				c.Subject.OrganizationalUnit, c.NotAfter = []string{"Staff"}, time.Now().Add(48*time.Hour)
			})
			s.put("ca.crl", crlPEM(s.ca.CRL(1, nil, func(r *x509.RevocationList) { r.NextUpdate = time.Now().Add(72 * time.Hour) })))
			l := s.start(mtlsguard.Options{Now: clock.Now})
			l.open(s.alice)
			if got := get(s.client(s.bob), l.url("internal", "/whoami")); got != "200 bob" {
				t.Fatal(got)
			}
			row.change(s, clock)
			if err := l.server.Reload(); err != nil {
				t.Fatal(err)
			}
			total := func(m map[string]float64) (n float64) {
				for _, c := range m {
					n += c
				}
				return n
			}
			testkit.Eventually(t, "the lines", func() bool { return total(closedLines(l)) >= total(row.want) })
			got := closedLines(l)
			for key, want := range row.want {
				if got[key] != want {
					t.Errorf("%s: %v, want %v", key, got, row.want)
				}
			}
			if len(got) != len(row.want) {
				t.Errorf("%v, want %v", got, row.want)
			}
			for _, line := range l.log.find("event", "closed", "user", "alice") {
				if text, _ := line["error"].(string); !strings.Contains(text, row.detail) || line["port"] != "internal" || line["fingerprint"] != trust.FingerprintOf(s.alice.Cert).String() || line["outcome"] != nil || line["level"] != "WARN" {
					t.Errorf("logged %v, want a warning about alice's certificate with %q", line, row.detail)
				}
			}
		})
	}
}

// The answer that ends because the certificate behind a gateway was revoked has a line with
// the user; the gateway's connection stays open and has none.
func TestClosedAnswersBehindAGatewayAreLogged(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.handler = http.HandlerFunc(streams)
	l := b.start(mtlsguard.Options{})
	stream := func(user *testpki.Pair) {
		c := withHeaders(b.client(b.gateway, testkit.HTTP2), nginxHeaders(user)...)
		c.Timeout = 0
		res, err := c.Get(l.url("internal", "/orders/events"))
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		t.Cleanup(func() { res.Body.Close() })
	}
	stream(b.alice)
	b.put("ca.crl", b.crl(2, b.alice))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the line", func() bool { return len(closedLines(l)) > 0 })
	if got := closedLines(l); len(got) != 1 || got["alice revoked CN=alice"] != 1 {
		t.Errorf("logged %v, want one line about alice, revoked", got)
	}
}
