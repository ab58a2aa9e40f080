package importer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/policy"
)

// at returns a line of a source.
func at(in *importer.Import, line int) *importer.Line {
	return in.Line(importer.Place{File: "s", Line: line}, "text | of *the* `source`\x1b")
}

func subject(l *importer.Line, user, value string) importer.Mapping {
	issuer, _ := l.Issuer(nil)
	return importer.Mapping{User: user, Kind: "subject", Value: value, Issuer: issuer}
}

func TestResultIsLoadedAndReported(t *testing.T) {
	t.Parallel()
	allow := policy.Rule{Subject: "user:alice", Port: "p", Method: "GET", Path: "/orders/*", Effect: policy.Allow}
	deny := policy.Rule{Subject: "group:staff", Port: "p", Method: "GET", Path: "/orders/secret", Effect: policy.Deny}
	for name, row := range map[string]struct {
		narrow bool
		read   func(in *importer.Import)
		want   []string // parts of the files, or of the error
		not    string
	}{
		"rules, groups and ports": {read: func(in *importer.Import) {
			l := at(in, 3)
			l.Rule(allow)
			l.Rule(allow)
			l.Member("user:alice", "group:staff")
			at(in, 4).Rule(deny)
			at(in, 5).Port(importer.Port{Name: "p", Listen: ":8443", ClientCert: "require", Cert: "a.pem", Key: "a-key.pem", Anchors: []string{"client-ca.pem"}})
			in.Expect(importer.Expectation{User: "alice", Port: "p", Method: "GET", Path: "/orders/7", Allow: true})
			in.Expect(importer.Expectation{User: "alice", Port: "p", Method: "GET", Path: "/orders/secret"})
		}, want: []string{
			"== policy.csv\n# mtlsguard import test: REPORT.md lists what was carried, and what was not.\n# s:3\np, user:alice, p, GET, /orders/*, allow\ng, user:alice, group:staff\n# s:4\np, group:staff, p, GET, /orders/secret, deny\n",
			`ports:` + "\n" + `  - {name: p, listen: ":8443", client_cert: require, certificate: {cert: a.pem, key: a-key.pem}, trust: {anchors: [client-ca.pem]}}  # s:5`,
			"== expected.txt", "alice  p  GET  /orders/secret  deny\n",
			"| s:3 | <code>text &#124; of &#42;the&#42; &#96;source&#96;&#92;x1b</code> | <code>policy.csv: p, user:alice, p, GET, /orders/&#42;, allow</code>",
		}},
		"a rule that does not load": {read: func(in *importer.Import) {
			at(in, 1).Rule(policy.Rule{Subject: "user:a,b", Port: "*", Method: "GET", Path: "/x", Effect: policy.Allow})
			at(in, 2).Rule(allow)
		}, want: []string{"| s:1 |", "would not load: the line has 7 fields", "0 changed, 1 not carried"}},
		"a denial that does not load": {read: func(in *importer.Import) {
			at(in, 1).Rule(policy.Rule{Subject: "user:alice", Port: "*", Method: "GET", Path: "/a*b", Effect: policy.Deny})
			at(in, 2).Rule(allow)
		}, want: []string{"s:1: leaving this line out would let a caller in", "--narrow"}},
		"a denial of a certificate that does not load": {read: func(in *importer.Import) {
			l := at(in, 1)
			m := subject(l, importer.NoUser, "CN=")
			m.Disabled = true
			l.Map(m)
			at(in, 2).Rule(allow)
		}, want: []string{"s:1: leaving this line out would let a caller in"}},
		"the denial, narrow": {narrow: true, read: func(in *importer.Import) {
			if at(in, 1).Limit("why", "what to do") {
				at(in, 2).Rule(allow)
			}
		}, want: []string{"why (--narrow: what it limits is left out)", "== policy.csv"}},
		"a policy that decides otherwise": {read: func(in *importer.Import) {
			at(in, 1).Rule(allow)
			in.Expect(importer.Expectation{User: "alice", Port: "p", Method: "GET", Path: "/orders/7"})
		}, want: []string{"alice GET /orders/7 on port p: the source has deny", importer.ErrDefect.Error()}},
		"a certificate that the source takes for another": {read: func(in *importer.Import) {
			l := at(in, 1)
			l.Map(subject(l, "alice", "CN=alice,OU=Staff,O=Acme"))
			in.SourceUser = func(c *importer.Certificate) (string, bool) { return "mallory", true }
		}, want: []string{`alice.pem: the result takes the certificate for user alice, and the source for "mallory"`, importer.ErrDefect.Error()}},
		"a certificate without a user in the source": {read: func(in *importer.Import) {
			l := at(in, 1)
			l.Map(subject(l, "alice", "CN=alice,OU=Staff,O=Acme"))
			in.SourceUser = func(c *importer.Certificate) (string, bool) { return "", true }
		}, want: []string{`and the source for ""`}},
		"the same user in both": {read: func(in *importer.Import) {
			l := at(in, 1)
			l.Map(subject(l, "alice", "CN=alice,OU=Staff,O=Acme"))
			in.SourceUser = func(c *importer.Certificate) (string, bool) {
				return map[string]string{"alice": "alice", "bob": "bob"}[c.Cert.Subject.CommonName], true
			}
		}, want: []string{"| alice.pem | alice | alice |", "| bob.pem | bob | no user: unmapped |", "== client-ca.pem\n-----BEGIN"}},
		"the first line decides": {read: func(in *importer.Import) {
			in.FirstWins = true
			for i, user := range []string{"alice", "bob", "carol"} {
				l := at(in, i+1)
				l.Map(subject(l, user, []string{"CN=a,O=b", "cn=a, o=b", "CN=a,O=\\62"}[i]))
			}
		}, want: []string{"mappings:\n  - {id: test-1, user: alice, subject: \"CN=a,O=b\", issuer: client-ca.pem}  # s:1\n==", "1 carried, 2 changed, 0 not carried", "line 1 gives the same certificate to user alice"}},
		"neither decides": {read: func(in *importer.Import) {
			for i, user := range []string{"alice", "bob"} {
				l := at(in, i+1)
				l.Map(subject(l, user, "CN=a,O=b"))
			}
		}, want: []string{"s:1: line 2 gives the same certificate to another user", "s:2: line 1 gives the same"}},
		"many lines for one certificate": {read: func(in *importer.Import) {
			for i := range 20 {
				l := at(in, i+1)
				l.Map(subject(l, []string{"alice", "bob"}[i%2], "CN=a,O=b"))
			}
		}, want: []string{"s:1: 20 lines are about the same certificate"}},
		"ports of one name": {read: func(in *importer.Import) {
			p := importer.Port{Name: "p", Listen: ":1", ClientCert: "require", Cert: "a", Key: "b", Anchors: []string{"c"}}
			at(in, 1).Port(p)
			at(in, 2).Port(p)
		}, want: []string{"would not load beside another", "1 carried, 0 changed, 1 not carried"}},
		"an unused name": {read: func(in *importer.Import) { at(in, 1).Rule(allow) }, want: []string{"- --rename: no line of the source names \"gone\""}, not: "users.yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := importer.Options{Issuers: []string{"client-ca.pem"}, Certificates: []string{"alice.pem", "bob.pem"}, Narrow: row.narrow, Rename: map[string]string{"gone": "x"}}
			got := importertest.Run(t, o, nil, func(in *importer.Import, _ []string) error {
				row.read(in)
				return nil
			})
			for _, want := range row.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			}
			if row.not != "" && strings.Contains(got, row.not) {
				t.Errorf("got\n%s\nwant no %s", got, row.not)
			}
		})
	}
}

func TestCertificatesInTexts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "not a certificate", "alice": "not a certificate", "-----BEGIN CERTIFICATE-----": "without its end",
		"-----BEGIN CERTIFICATE----- MII -----END CERTIFICATE-----": "not a certificate", "0x3003": "", strings.Repeat("A", 2<<20): "more than 1 MiB",
	} {
		if _, err := importer.ParseLeaf(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %v", text, err, want)
		}
	}
}

func TestPatternsStayInTheirFolder(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "a[b]") // no pattern
	for _, name := range []string{"a[b]/main", "a[b]/x.conf", "a[b]/y.conf", "a[b]/d.conf/z.conf", "outside/x.conf"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(top, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../outside/x.conf", filepath.Join(dir, "link.conf")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../outside", filepath.Join(dir, "folder")); err != nil {
		t.Fatal(err)
	}
	in, err := importer.New(importer.Options{Format: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]string{
		"*.conf": "x.conf y.conf", "x.conf": "x.conf", "./x.conf": "x.conf", "*/*.conf": "d.conf/z.conf", filepath.Join(dir, "x*"): "x.conf", "../a[[]b]/x.conf": "",
		"../outside/*": "", "/*/*/*/*/*/*/*": "", "": "", "[": "", "gone": "", "link.conf": "", "folder/*": "",
	} {
		got := strings.Join(in.Glob(filepath.Join(dir, "main"), pattern), " ")
		if got = strings.ReplaceAll(got, dir+"/", ""); got != want {
			t.Errorf("%q: %q, want %q", pattern, got, want)
		}
	}
}

func TestNothingIsADefectByItself(t *testing.T) {
	t.Parallel()
	in, err := importer.New(importer.Options{Format: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Finish(); err == nil || errors.Is(err, importer.ErrDefect) {
		t.Error(err)
	}
}
