package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
)

// A truncated line may be another valid line: group:admin-readonly cut to group:admin. The
// watcher waits for the end of the line.
// Covers D7.
func TestLineThatIsCutOffIsNotLoaded(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	const rules = "p, group:admin, *, GET, /admin, allow\ng, user:alice, group:admin-readonly\n"
	s.put("policy.csv", sitePolicy+rules)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	whole := s.get("policy.csv")
	var generation uint64
	for tries := 1; ; tries++ {
		generation = l.server.Status().Generation
		began := time.Now()
		inTime := func() bool { return time.Since(began) < 1400*time.Millisecond } // after 1.5 s the half is taken for the whole
		s.put("policy.csv", whole[:len(whole)-len("-readonly\n")])
		for time.Since(began) < 800*time.Millisecond {
			if got := get(alice, l.url("internal", "/admin")); got != "403 no-rule" && inTime() {
				t.Fatalf("half a line is in effect: %s, want 403 no-rule", got)
			}
			time.Sleep(20 * time.Millisecond)
		}
		s.put("policy.csv", whole+"p, user:alice, *, GET, /new, allow\n")
		if inTime() {
			break
		}
		if tries == 20 {
			t.Fatal("this machine is too busy to write two files within 1.4 s")
		}
		s.put("policy.csv", whole)
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	l.waitFor("the whole file", func() string { return get(alice, l.url("internal", "/new")) }, "200 alice")
	if got := get(alice, l.url("internal", "/admin")); got != "403 no-rule" || l.server.Status().Generation != generation+1 {
		t.Errorf("%s, generation %d", got, l.server.Status().Generation)
	}
}

// A file without a line end at its end is loaded, a moment later.
func TestFileWithoutLastLineEndIsLoaded(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	s.put("policy.csv", sitePolicy+"p, user:alice, *, GET, /whoami, deny")
	l.waitFor("the new policy", func() string { return get(alice, l.url("internal", "/whoami")) }, "403 denied")
	s.put("policy.csv", sitePolicy+"p, user:bob, *, GET, /whoami, deny")
	if err := l.server.Reload(); err != nil {
		t.Error(err)
	}
}

// An older CRL would accept a revoked certificate again.
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
		t.Errorf("the error is %v", found)
	}
	s.put("ca.crl", s.crl(8))
	if err := l.server.Reload(); err != nil {
		t.Errorf("a newer CRL: %v", err)
	}
}
