package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
)

// A line that lost its end may be another line: group:admin-readonly cut to
// group:admin. Whoever is still writing has a while to finish.
// Covers D7.
func TestLineThatIsCutOffIsNotLoaded(t *testing.T) {
	t.Parallel()
	s := watched(t)
	const rules = "p, group:admin, *, GET, /admin, allow\ng, user:alice, group:admin-readonly\n"
	s.put("policy.csv", sitePolicy+rules)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	generation := l.server.Status().Generation
	whole := s.get("policy.csv")
	s.put("policy.csv", whole[:len(whole)-len("-readonly\n")])
	for end := time.Now().Add(800 * time.Millisecond); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got := ask(alice, l.url("internal", "/admin")); got != "403 no-rule" {
			t.Fatalf("half a line is in force: %s", got)
		}
	}
	s.put("policy.csv", whole+"p, user:alice, *, GET, /new, allow\n")
	l.waitFor("the whole file", func() string { return ask(alice, l.url("internal", "/new")) }, "200 alice")
	if got := ask(alice, l.url("internal", "/admin")); got != "403 no-rule" || l.server.Status().Generation != generation+1 {
		t.Errorf("%s, generation %d", got, l.server.Status().Generation)
	}
}

// A file without a line end at its end is a file: it may just take a moment longer.
func TestFileWithoutLastLineEndIsLoaded(t *testing.T) {
	t.Parallel()
	s := watched(t)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	s.put("policy.csv", sitePolicy+"p, user:alice, *, GET, /whoami, deny")
	l.waitFor("the new policy", func() string { return ask(alice, l.url("internal", "/whoami")) }, "403 denied")
	s.put("policy.csv", sitePolicy+"p, user:bob, *, GET, /whoami, deny")
	if err := l.server.Reload(); err != nil {
		t.Error(err)
	}
}

// Yesterday's CRL would let a revoked certificate in again.
// Covers I7.
func TestOlderCRLIsRejected(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("ca.crl", s.crl(7, s.bob))
	l := s.start(mtlsguard.Options{})
	s.put("ca.crl", s.crl(6))
	err := l.server.Reload()
	if err == nil || !strings.Contains(err.Error(), "number 6") {
		t.Errorf("an older CRL: %v", err)
	}
	if found := configerror.All(err); len(found) != 1 || found[0].File != s.path("ca.crl") || found[0].Hint == "" {
		t.Errorf("the mistake is %v", found)
	}
	s.put("ca.crl", s.crl(8))
	if err := l.server.Reload(); err != nil {
		t.Errorf("a newer CRL: %v", err)
	}
}
