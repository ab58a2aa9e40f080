package e2e

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// Parts of the configuration that load and under which clients are refused, or accepted
// although they are revoked, are reported alike by lint, at the start, and after a reload.
func TestUselessTrustIsReportedByLintStartAndReload(t *testing.T) {
	t.Parallel()
	const ca, cert = "trust: {anchors: [ca.pem]}", "certificate: {cert: server.pem, key: server-key.pem}"
	anchor := func(options ...testpki.Option) func(*site) {
		return func(s *site) {
			s.put("useless.pem", string(testpki.NewCA("Useless CA", options...).CertPEM()))
			s.sub("mtlsguard.yaml", ca, "trust: {anchors: [ca.pem, useless.pem]}")
		}
	}
	server := func(options ...testpki.Option) func(*site) {
		return func(s *site) {
			useless := s.serve.Server(options...)
			s.put("useless.pem", string(useless.CertPEM()))
			s.put("useless-key.pem", string(useless.KeyPEM()))
			s.sub("mtlsguard.yaml", cert, "certificate: {cert: useless.pem, key: useless-key.pem}")
		}
	}
	named := func(names string, options ...testpki.Option) func(*site) {
		return func(s *site) {
			server(options...)(s)
			s.sub("mtlsguard.yaml", "    client_cert: require\n", "    client_cert: require\n    server_names: ["+names+"]\n")
		}
	}
	with := func(trust string) func(*site) {
		return func(s *site) {
			s.put("other.pem", string(s.other.CertPEM()))
			s.sub("mtlsguard.yaml", ca, trust)
		}
	}
	for _, row := range []struct {
		name  string
		spoil func(*site)
		want  []string // parts of the warning; nil for none
	}{
		{"nothing", func(*site) {}, nil},
		{"an anchor that is not a CA", anchor(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }),
			[]string{"mtlsguard.yaml:9: port internal, useless.pem: the anchor \"CN=Useless CA\", serial ", "is not a CA certificate (basicConstraints CA:TRUE is missing)", "an authority's certificate cannot be a client's"}},
		{"an anchor that is neither a CA nor a client", anchor(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid, c.KeyUsage = false, false, 0 }),
			[]string{"is not a CA certificate", "it is refused itself: the leaf has no extended key usage"}},
		{"a pinned client certificate", anchor(func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage, c.ExtKeyUsage = false, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), nil},
		{"an anchor without keyCertSign", anchor(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }),
			[]string{"no certificate verifies under the anchor \"CN=Useless CA\", serial ", "lacks keyCertSign"}},
		{"an anchor without a key usage", anchor(func(c *x509.Certificate) { c.KeyUsage = 0 }), nil},
		{"an anchor for servers", anchor(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			[]string{"its extended key usage lacks clientAuth"}},
		{"an anchor for clients", anchor(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), nil},
		{"an anchor for any use", anchor(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), nil},
		{"a server's certificate for clients", server(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
			[]string{"mtlsguard.yaml:8: the server's certificate of port internal, useless.pem, lacks the extended key usage serverAuth: clients refuse to connect"}},
		{"a server's certificate without a usage", server(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), nil},
		{"a server's key usage", server(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), []string{"lacks the key usage digitalSignature"}},
		{"a server's certificate without a name", server(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }), []string{"has no name in subjectAltName"}},
		{"another name", named("localhost, api.acme.example"), []string{"mtlsguard.yaml:9: the server's certificate of port internal, useless.pem, is not for api.acme.example of server_names"}},
		{"its names", named("localhost, 127.0.0.1"), nil},
		{"a wildcard", named("api.acme.example", func(c *x509.Certificate) { c.DNSNames = []string{"*.acme.example"} }), nil},
		{"one port looks up a CRL", with("trust: {anchors: [ca.pem], crls: [ca.crl]}"),
			[]string{"mtlsguard.yaml:14: port public trusts ca.pem and looks up no CRL; port internal does", "crls: [ca.crl]"}},
		{"one port looks up a CRL, and another trusts two authorities", func(s *site) {
			with("trust: {anchors: [ca.pem], crls: [ca.crl]}")(s)
			s.sub("mtlsguard.yaml", ca, "trust: {anchors: [ca.pem, other.pem]}")
		}, []string{"port public trusts ca.pem and looks up no CRL; port internal does", "crls: [ca.crl] in this trust too, with the newest CRL of other.pem (certificates of an authority without a CRL are refused then)"}},
		{"soft, and no CRL of this anchor", func(s *site) {
			with("trust: {anchors: [ca.pem], crls: [ca.crl]}")(s)
			s.put("other.crl", crlPEM(s.other.CRL(1, nil)))
			s.sub("mtlsguard.yaml", ca, "trust: {anchors: [ca.pem, other.pem], crls: [other.crl], revocation: soft}")
		}, []string{"port public trusts ca.pem and looks up no CRL; port internal does"}},
		{"on purpose", func(s *site) {
			with("trust: {anchors: [ca.pem], crls: [ca.crl]}")(s)
			s.sub("mtlsguard.yaml", ca, "trust: {anchors: [ca.pem], revocation: off}")
		}, nil},
		{"both look up", func(s *site) {
			with("trust: {anchors: [ca.pem], crls: [ca.crl]}")(s)
			s.sub("mtlsguard.yaml", ca, "trust: {anchors: [ca.pem], crls: [ca.crl]}")
		}, nil},
		{"another anchor", func(s *site) {
			with("trust: {anchors: [ca.pem], crls: [ca.crl]}")(s)
			s.sub("mtlsguard.yaml", ca, "trust: {anchors: [other.pem]}")
			s.sub("users.yaml", "issuer: ca.pem}\n", "issuer: ca.pem, ports: [internal]}\n")
		}, nil},
		{"hard, and no CRL of an anchor", func(s *site) {
			with("trust: {anchors: [ca.pem, other.pem], crls: [ca.crl]}")(s)
			s.sub("mtlsguard.yaml", ca, "trust: {anchors: [ca.pem], crls: [ca.crl]}")
		}, []string{"mtlsguard.yaml:9: port internal, other.pem: no CRL of the anchor \"CN=Other CA\"", "revocation-unknown"}},
		{"behind a gateway", func(s *site) {
			with("trust: {anchors: [ca.pem], crls: [ca.crl]}")(s)
			s.sub("mtlsguard.yaml", ca, "forwarded:\n      format: nginx\n      gateway: {anchors: [other.pem], names: [gateway.acme.example]}\n      "+ca)
		}, []string{"port public, forwarded trusts ca.pem and looks up no CRL; port internal does"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			check := func(when string, found []string) {
				t.Helper()
				switch {
				case row.want == nil && len(found) > 0, row.want != nil && len(found) != 1:
					t.Errorf("%s: %q, want %q", when, found, row.want)
				case row.want != nil:
					for _, part := range row.want {
						if !strings.Contains(found[0], part) {
							t.Errorf("%s: %q lacks %q", when, found[0], part)
						}
					}
				}
			}
			s := cleanSite(t)
			row.spoil(s)
			var found []string
			all, err := mtlsguard.Lint(s.path("mtlsguard.yaml"), mtlsguard.LintOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range all {
				found = append(found, f.String())
			}
			found = slices.DeleteFunc(found, func(text string) bool {
				return strings.Contains(text, " expires at ") || strings.Contains(text, "no rule allows anything")
			})
			check("lint", found)

			l := s.start(mtlsguard.Options{})
			warned := func() (out []string) {
				for _, line := range l.log.find("level", "WARN", "event", "reload") {
					out = append(out, line["error"].(string))
				}
				return out
			}
			check("at the start", warned())
			before := len(warned())
			s.put("mtlsguard.yaml", s.get("mtlsguard.yaml")+"# changed\n")
			if err := l.server.Reload(); err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, "the reload warns again", func() bool { return row.want == nil || len(warned()) > before })
			check("after a reload", warned()[before:])
		})
	}
}

// The hint about a trust without lookups, pasted, refuses no certificate of the trust's other
// anchors: it names the CRLs of all of them.
func TestHintAboutLookupsNamesTheCRLsOfAllAnchors(t *testing.T) {
	t.Parallel()
	const ca, hint = "trust: {anchors: [ca.pem]}", "crls: [ca.crl, other.crl]"
	s := cleanSite(t)
	s.put("other.pem", string(s.other.CertPEM()))
	s.put("other.crl", crlPEM(s.other.CRL(1, nil)))
	s.sub("mtlsguard.yaml", ca, "trust: {anchors: [ca.pem, other.pem], crls: [ca.crl, other.crl]}")
	s.sub("mtlsguard.yaml", ca, "trust: {anchors: [ca.pem, other.pem]}")
	lookups := func() (out []string) {
		found, err := mtlsguard.Lint(s.path("mtlsguard.yaml"), mtlsguard.LintOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if text := f.String(); strings.Contains(text, "looks up no CRL") || strings.Contains(text, "revocation-unknown") {
				out = append(out, text)
			}
		}
		return out
	}
	before := lookups()
	if len(before) != 2 || !strings.Contains(before[0], hint+" in this trust too, or revocation: off") || !strings.Contains(before[1], hint+" in this trust too, or revocation: off") {
		t.Fatalf("lint found %q, want both trusts with the hint", before)
	}
	s.sub("mtlsguard.yaml", "trust: {anchors: [ca.pem, other.pem]}", "trust: {anchors: [ca.pem, other.pem], "+hint+"}")
	if after := lookups(); len(after) > 0 {
		t.Errorf("lint found %q after the hint was followed, want nothing", after)
	}
}
