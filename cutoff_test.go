package mtlsguard_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
)

// A line that lost its end may be another line: group:finance-ro cut to
// group:finance. Where the file ended with a line before, that is not taken.
func TestD7_CutLastLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("policy.csv", sitePolicy+"g, user:alice, group:admin-readonly\n")
	l := s.start(mtlsguard.Options{})
	for _, lost := range []int{1, len("-readonly\n")} {
		whole := s.get("policy.csv")
		s.put("policy.csv", whole[:len(whole)-lost])
		if err := l.server.Reload(); err == nil || !strings.Contains(err.Error(), "may be cut off") {
			t.Errorf("%d bytes lost: %v", lost, err)
		}
		s.put("policy.csv", whole)
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
	}
}

// A file that never ended with a line end may go on so.
func TestFileWithoutLastLineEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("policy.csv", sitePolicy+"g, user:alice, group:one")
	l := s.start(mtlsguard.Options{})
	s.put("policy.csv", sitePolicy+"g, user:alice, group:two")
	if err := l.server.Reload(); err != nil {
		t.Error(err)
	}
}

// Yesterday's CRL would let a revoked certificate in again.
func TestI7_OlderCRLIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("ca.crl", s.crl(7, s.bob))
	l := s.start(mtlsguard.Options{})
	s.put("ca.crl", s.crl(6))
	err := l.server.Reload()
	if err == nil || !strings.Contains(err.Error(), "number 6") {
		t.Errorf("an older CRL: %v", err)
	}
	if found := mtlsguard.Mistakes(err); len(found) != 1 || found[0].File != s.path("ca.crl") || found[0].Hint == "" {
		t.Errorf("the mistake is %v", found)
	}
	s.put("ca.crl", s.crl(8))
	if err := l.server.Reload(); err != nil {
		t.Errorf("a newer CRL: %v", err)
	}
}
