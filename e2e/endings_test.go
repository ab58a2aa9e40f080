package e2e

import (
	"crypto/x509"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// A certificate or CRL that expires while the server runs is logged at that moment with its
// consequence, and again each hour, with the file; Lint has the same text.
func TestEndsWhileServingAreLogged(t *testing.T) {
	t.Parallel()
	soon := func(d time.Duration) testpki.Option {
		return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d) }
	}
	for _, row := range []struct {
		name, file, what string
		prepare          func(s *site)
	}{
		{"a CRL, hard", "ca.crl", "port internal: the CRL of \"CN=Client CA\" expired at %s: every certificate of this issuer is refused (revocation-unknown)", func(s *site) {
			s.put("ca.crl", crlPEM(s.ca.CRL(1, nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(time.Hour) })))
		}},
		{"a CRL, soft", "ca.crl", "port internal: the CRL of \"CN=Client CA\" expired at %s: certificates that the issuer has revoked since are accepted", func(s *site) {
			s.put("ca.crl", crlPEM(s.ca.CRL(1, nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(time.Hour) })))
			s.sub(config, "crls: [ca.crl]", "crls: [ca.crl]\n      revocation: soft")
		}},
		{"a server's certificate", "server.pem", "the server's certificate of port internal expired at %s: clients refuse to connect", func(s *site) {
			p := s.serve.Server(soon(time.Hour))
			s.put("server.pem", string(p.CertPEM()))
			s.put("server-key.pem", string(p.KeyPEM()))
		}},
		{"an intermediate of the server", "server.pem", "the intermediate certificate \"CN=Sub\" in the chain of port internal expired at %s: clients refuse to connect", func(s *site) {
			p := s.serve.SubCA("Sub", soon(time.Hour)).Server()
			s.put("server.pem", string(p.CertPEM()))
			s.put("server-key.pem", string(p.KeyPEM()))
		}},
		{"an anchor", "other.pem", "port internal: anchor \"CN=Old CA\" expired at %s: every certificate under it is refused", func(s *site) {
			s.put("other.pem", string(testpki.NewCA("Old CA", soon(time.Hour)).CertPEM()))
			s.sub(config, "anchors: [ca.pem]\n", "anchors: [ca.pem, other.pem]\n")
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			row.prepare(s)
			var now testkit.Clock
			l := s.start(mtlsguard.Options{Now: now.Now})
			head, tail, _ := strings.Cut(row.what, "%s")
			count := func() int {
				return len(l.log.find("level", "WARN", "file", s.path(row.file), "error", head, "error", tail))
			}
			if n := count(); n != 0 {
				t.Errorf("logged %d times before the end", n)
			}
			now.Advance(61 * time.Minute)
			testkit.Eventually(t, "the end is logged", func() bool { return count() == 1 })
			now.Advance(30 * time.Minute)
			now.Advance(31 * time.Minute)
			testkit.Eventually(t, "the end is logged again", func() bool { return count() == 2 })
			found, err := mtlsguard.Lint(s.path(config), mtlsguard.LintOptions{Now: now.Now})
			if err != nil || !hasText(found, head, tail) {
				t.Errorf("lint: %v, %v", found, err)
			}
		})
	}
}

// A failed reload is logged again each ten minutes until it is mended.
func TestFailedReloadIsRepeated(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var now testkit.Clock
	l := s.start(mtlsguard.Options{Now: now.Now})
	good := s.get("users.yaml")
	s.put("users.yaml", "mappings: [{id: alice, user: alice, subjct: x}]\n")
	if l.server.Reload() == nil {
		t.Fatal("the reload did not fail")
	}
	count := func() int {
		return len(l.log.find("event", "reload", "outcome", "failed", "file", s.path("users.yaml"), "error", "subjct"))
	}
	first := count()
	for n := 2; n <= 3; n++ {
		now.Advance(10 * time.Minute)
		testkit.Eventually(t, "the failure is logged again", func() bool { return count() == n*first })
	}
	s.put("users.yaml", good)
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	s.put("users.yaml", "mappings: 1\n")
	if l.server.Reload() == nil {
		t.Fatal("the reload did not fail")
	}
	now.Advance(10*time.Minute + 5*time.Second)
	if n := count(); n != 3*first {
		t.Errorf("a failure that is mended is logged %d times", n)
	}
}

// A list of a shorter life, put into the file of a fetched list, is replaced from
// its URL when it has ended. While the URL is down, the end and each failure are logged with
// file, URL, last success and next try; a reload tries at once.
func TestFetchedListThatEndsIsReplaced(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	d := newDistribution(t, s.ca.CRL(1, nil))
	s.fetchFrom(d.URL)
	os.Remove(s.path("ca.crl"))
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice, testkit.Resuming)
	answer := func() string { return get(alice, l.url("internal", "/whoami")) }
	l.waitFor("the fetched list", answer, "200 alice")
	d.down.Store(true)
	s.put("ca.crl", crlPEM(s.ca.CRL(2, nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(2 * time.Second) })))
	l.waitFor("the list in the file has ended", answer, "refused")
	testkit.Eventually(t, "the end is logged", func() bool {
		return len(l.log.find("level", "WARN", "file", s.path("ca.crl"), "error", "expired at", "error", d.URL, "error", "next try at")) > 0
	})
	testkit.Eventually(t, "the failure is logged", func() bool {
		return len(l.log.find("level", "WARN", "file", s.path("ca.crl"), "error", "HTTP 503", "error", d.URL, "error", "last fetched", "error", "next try at")) > 0
	})
	d.list.Store(s.ca.CRL(3, nil))
	d.down.Store(false)
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	l.waitFor("the newer list", answer, "200 alice")
}

// hasText reports whether a finding has all these texts.
func hasText(found []configerror.Finding, texts ...string) bool {
	return slices.ContainsFunc(found, func(f configerror.Finding) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(f.What, text) })
	})
}
