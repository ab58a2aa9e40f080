package e2e

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// cleanSite returns a site in which lint finds nothing.
func cleanSite(t *testing.T) *site {
	s := newSite(t)
	s.put("users.yaml", `mappings:
  - {id: alice, user: alice, subject: "CN=alice", issuer: ca.pem}
  - {id: bob, user: bob, subject: "CN=bob,OU=Staff", issuer: ca.pem}
`)
	s.put("policy.csv", `p, group:Authenticated, *, GET, /whoami, allow
p, group:staff, internal, GET|POST, /orders/*, allow
p, user:bob, *, *, /orders/*, deny
g, user:alice, group:staff
g, user:bob, group:staff
`)
	s.put("mtlsguard.yaml", `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [ca.pem]}
  - name: public
    listen: 127.0.0.1:0
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [ca.pem]}
`)
	return s
}

// quotas returns a change that adds quotas to mtlsguard.yaml.
func quotas(keys ...string) func(*site) {
	return func(s *site) {
		text := "quotas:\n"
		for _, k := range keys {
			text += "  - {" + k + ", rate: 10/s}\n"
		}
		s.put("mtlsguard.yaml", s.get("mtlsguard.yaml")+text)
	}
}

// Each row makes one change, and lint reports it with its position and a hint.
func TestLintFindings(t *testing.T) {
	t.Parallel()
	base := mtlsguard.LintOptions{Within: time.Minute}
	for _, row := range []struct {
		name   string
		spoil  func(*site)
		change func(*site, *mtlsguard.LintOptions)
		want   []string // "file:line: " and the beginning of the finding, or a part of it
	}{
		{"nothing", nil, nil, nil},
		{"a server's certificate that ends soon", nil, func(_ *site, o *mtlsguard.LintOptions) { o.Within = 30 * time.Hour }, []string{
			"mtlsguard.yaml:8: the server's certificate of port internal expires", "mtlsguard.yaml:13: the server's certificate of port public expires"}},
		{"an expired certificate", nil, func(_ *site, o *mtlsguard.LintOptions) {
			o.Now = func() time.Time { return time.Now().Add(25 * time.Hour) }
		}, []string{
			"mtlsguard.yaml:8: the server's certificate of port internal expired", "mtlsguard.yaml:13: the server's certificate of port public expired"}},
		{"an anchor that ends", func(s *site) {
			s.put("short.pem", s.get("ca.pem")+string(testpki.NewCA("Short CA", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(30 * time.Second) }).CertPEM()))
			s.sub("mtlsguard.yaml", "anchors: [ca.pem]", "anchors: [short.pem]")
		}, nil, []string{"mtlsguard.yaml:9: port internal: anchor \"CN=Short CA\" expires"}},
		{"a CRL that ends", func(s *site) {
			s.sub("mtlsguard.yaml", "trust: {anchors: [ca.pem]}", "trust: {anchors: [ca.pem], crls: [ca.crl]}")
			s.sub("mtlsguard.yaml", "trust: {anchors: [ca.pem]}", "trust: {anchors: [ca.pem], revocation: off}")
		}, func(_ *site, o *mtlsguard.LintOptions) { o.Within = 23*time.Hour + 50*time.Minute }, nil},
		{"a CRL that ends soon", func(s *site) {
			s.sub("mtlsguard.yaml", "trust: {anchors: [ca.pem]}", "trust: {anchors: [ca.pem], crls: [ca.crl]}")
			s.sub("mtlsguard.yaml", "trust: {anchors: [ca.pem]}", "trust: {anchors: [ca.pem], revocation: off}")
		}, func(_ *site, o *mtlsguard.LintOptions) {
			o.Now = func() time.Time { return time.Now().Add(23*time.Hour + 59*time.Minute + 30*time.Second) }
		}, []string{
			"mtlsguard.yaml:8: the server's certificate", "mtlsguard.yaml:9: port internal: the CRL of \"CN=Client CA\" expires", "mtlsguard.yaml:13: the server's certificate"}},
		{"a range that is allowed and denied", func(s *site) {
			s.put("mtlsguard.yaml", s.get("mtlsguard.yaml")+"addresses: {allow: [10.9.1.0/24, 10.0.0.0/8], deny: [10.9.0.0/16, 10.0.0.0/9]}\n")
			s.sub("mtlsguard.yaml", "  - name: internal\n", "  - name: internal\n    addresses: {allow: [10.0.0.0/8], deny: [10.0.0.0/9]}\n")
		}, nil, []string{
			"mtlsguard.yaml:11: port public allows 10.9.1.0/24 and denies 10.9.0.0/16: deny wins, and no address of the range is accepted",
			"mtlsguard.yaml:11: port public allows 10.9.1.0/24 and denies 10.0.0.0/9: deny wins, and no address of the range is accepted",
		}},
		{"proxies that are anybody", func(s *site) {
			s.sub("mtlsguard.yaml", "  - name: internal\n", "  - name: internal\n    proxy_protocol: {from: [10.0.0.0/28, '::/0']}\n")
		}, nil, []string{"mtlsguard.yaml:5: port internal takes PROXY headers from every address"}},
		{"quotas that count", quotas("name: a, group: staff, path: /orders/*", "name: b, group: Authenticated", "name: c, path: '/orders/{id}'", "name: d, group: staff, path: /whoami", "name: e"), nil, nil},
		{"a quota for an unknown group", quotas("name: q, group: stuff"), nil, []string{"mtlsguard.yaml:16: quota \"q\" counts nothing: no line of the policy names group:stuff"}},
		{"a quota on another path", quotas("name: q, path: /reports/*"), nil, []string{"mtlsguard.yaml:16: quota \"q\" counts nothing: no rule allows anything on /reports/*"}},
		{"a quota on a path that is denied to its group", func(s *site) {
			quotas("name: q, group: partners, path: /orders/*")(s)
			s.put("policy.csv", s.get("policy.csv")+"p, group:partners, *, GET, /partners, allow\ng, user:bob, group:partners\np, group:staff, *, GET, /x, allow\n")
			s.sub("policy.csv", "g, user:bob, group:staff\n", "")
		}, nil, []string{"mtlsguard.yaml:16: quota \"q\" counts nothing: no rule allows group:partners anything on /orders/*"}},
		{"a user without a rule", func(s *site) {
			s.sub("policy.csv", "p, group:Authenticated, *, GET, /whoami, allow\n", "p, user:alice, *, GET, /whoami, allow\n")
		}, nil, nil},
		{"a user without any rule", func(s *site) {
			s.put("policy.csv", "p, user:alice, *, GET, /whoami, allow\n")
		}, nil, []string{"users.yaml:3: no rule allows user bob anything"}},
		{"a rule without a mapping", func(s *site) { s.put("policy.csv", s.get("policy.csv")+"p, user:carol, *, GET, /c, allow\n") }, nil, []string{"policy.csv:6: no mapping leads to user:carol"}},
		{"a rule for Default on strict ports", func(s *site) { s.put("policy.csv", s.get("policy.csv")+"p, group:Anonymous, *, GET, /c, allow\n") }, nil, []string{"policy.csv:6: group:Anonymous is never used"}},
		{"open to Default", func(s *site) {
			s.put("mtlsguard.yaml", s.get("mtlsguard.yaml")+"    strict: false\n")
			s.put("policy.csv", s.get("policy.csv")+"p, group:Everybody, public, GET, /c, allow\n")
		}, nil, []string{"mtlsguard.yaml:10: port public is open to Default: without a certificate anyone may GET /c (policy.csv:6)"}},
		{"open to Default without a rule", func(s *site) { s.put("mtlsguard.yaml", s.get("mtlsguard.yaml")+"    strict: false\n") }, nil, []string{"mtlsguard.yaml:10: port public is open to Default, and no rule"}},
		{"one user for every unmapped certificate", func(s *site) { s.put("mtlsguard.yaml", s.get("mtlsguard.yaml")+"    unmapped: alice\n") }, nil, []string{"mtlsguard.yaml:10: on port public every verified certificate"}},
		{"a port without a rule", func(s *site) {
			s.sub("policy.csv", "p, group:Authenticated, *, GET, /whoami, allow\n", "p, group:Authenticated, internal, GET, /whoami, allow\n")
		}, nil, []string{"mtlsguard.yaml:10: no rule allows anything on port public"}},
		{"a shadowed rule", func(s *site) {
			s.put("policy.csv", s.get("policy.csv")+"p, user:alice, *, GET, /whoami, allow\np, user:bob, internal, GET, /orders/7, allow\n")
		}, nil, []string{
			"policy.csv:7: this rule never allows anything"}},
		{"an untrusted issuer", func(s *site) {
			s.put("other.pem", string(s.other.CertPEM()))
			s.sub("users.yaml", `"CN=alice", issuer: ca.pem`, `"CN=alice", issuer: other.pem`)
		}, nil, []string{"users.yaml:2: mapping \"alice\" never matches"}},
		{"an issuer with an anchor's name", func(s *site) {
			s.put("twin.pem", string(testpki.NewCA("Client CA").CertPEM()))
			s.sub("users.yaml", `"CN=alice", issuer: ca.pem`, `"CN=alice", issuer: twin.pem`)
		}, nil, []string{"users.yaml:2: mapping \"alice\" never matches: no port trusts its issuer (the anchor in ca.pem has its name, but another key)"}},
		{"an issuer below an anchor", func(s *site) {
			s.put("sub.pem", string(s.ca.SubCA("Sub").CertPEM()))
			s.sub("users.yaml", `"CN=alice", issuer: ca.pem`, `"CN=alice", issuer: sub.pem`)
		}, nil, nil},
		{"two ports, one CRL", func(s *site) {
			s.sub("mtlsguard.yaml", "trust: {anchors: [ca.pem]}", "trust: {anchors: [ca.pem], crls: [ca.crl]}")
		}, nil, []string{"mtlsguard.yaml:14: port public trusts ca.pem and looks up no CRL; port internal does: a certificate that is refused there as revoked is accepted here (crls: [ca.crl] in this trust too, or revocation: off"}},
		{"a mapping of a certificate that ends", func(s *site) {
			s.put("users.yaml", s.get("users.yaml")+`  - {id: pin, user: alice, fingerprint: "`+trust.FingerprintOf(s.alice.Cert).String()+"\"}\n")
		}, func(s *site, o *mtlsguard.LintOptions) {
			o.Certificates, o.Within = []*x509.Certificate{s.alice.Cert}, 30*time.Hour
		}, []string{
			"mtlsguard.yaml:8: ", "mtlsguard.yaml:13: ", "users.yaml:4: the certificate of mapping \"pin\" expires"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := cleanSite(t)
			if row.spoil != nil {
				row.spoil(s)
			}
			o := base
			if row.change != nil {
				row.change(s, &o)
			}
			found, err := mtlsguard.Lint(s.path("mtlsguard.yaml"), o)
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for _, f := range found {
				texts = append(texts, strings.ReplaceAll(f.String(), s.dir+"/", ""))
				if f.Hint == "" || f.About == "" || f.File == "" {
					t.Errorf("got %+v, want a finding with a file, a subject and a hint", f)
				}
			}
			if len(texts) != len(row.want) {
				t.Fatalf("found %q, want %q", texts, row.want)
			}
			for i, want := range row.want {
				if !strings.HasPrefix(texts[i], want) {
					t.Errorf("found %q, want %q", texts[i], want)
				}
			}
		})
	}
}

// Lint returns the errors of a configuration that does not load.
func TestLintReportsConfigurationErrors(t *testing.T) {
	t.Parallel()
	s := cleanSite(t)
	s.sub("policy.csv", "allow", "alow")
	if found, err := mtlsguard.Lint(s.path("mtlsguard.yaml"), mtlsguard.LintOptions{}); len(configerror.All(err)) != 1 || found != nil {
		t.Errorf("got %v, %v; want one error and no findings", found, err)
	}
}

// A certificate that is renewed on schedule is not reported: the thresholds depend on the lifetime.
func TestLintIsSilentInNormalOperation(t *testing.T) {
	t.Parallel()
	s := cleanSite(t)
	begin, life := s.alice.Cert.NotBefore, s.alice.Cert.NotAfter.Sub(s.alice.Cert.NotBefore)
	for _, row := range []struct {
		elapsed float64 // of the lifetime
		finding bool
	}{{0.1, false}, {0.5, false}, {0.7, false}, {0.79, false}, {0.81, true}, {0.95, true}, {1.1, true}} {
		now := begin.Add(time.Duration(row.elapsed * float64(life)))
		all, err := mtlsguard.Lint(s.path("mtlsguard.yaml"), mtlsguard.LintOptions{Now: func() time.Time { return now }, Certificates: []*x509.Certificate{s.alice.Cert}})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range all {
			found = found || strings.Contains(f.What, " expire")
		}
		if found != row.finding {
			t.Errorf("after %.2f of %s: %v", row.elapsed, life, all)
		}
	}
}
