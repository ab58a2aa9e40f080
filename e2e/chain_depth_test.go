package e2e

import (
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// max_depth applies to new handshakes and, after a reload, to open connections.
//
// Covers B24.
func TestMaxDepthAppliesToOpenConnections(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one := s.ca.SubCA("One")
	two := one.SubCA("Two")
	s.sub(config, "crls: [ca.crl]", "max_depth: 1")
	l := s.start(mtlsguard.Options{})
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	url := l.url("internal", "/whoami")
	near, far := s.client(one.Leaf("alice"), testkit.HTTP2), s.client(two.Leaf("alice"))
	expect("one intermediate", get(near, url), "200 alice")
	expect("two intermediates", get(far, url), "refused")
	s.sub(config, "max_depth: 1", "max_depth: 2")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	expect("two intermediates", get(far, url), "200 alice")
	s.sub(config, "max_depth: 2", "max_depth: 1")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(far, url); !refused(got) {
		t.Errorf("a connection that is open when the depth changes: %s", got)
	}
	expect("one intermediate", get(near, url), "200 alice")
	for _, wrong := range []string{"-1", "one", "1.5", "[1]", "99999999999"} {
		s.sub(config, "max_depth: 1", "max_depth: "+wrong)
		if found := configerror.All(l.server.Reload()); !hasConfigError(found, s.path(config), 11, "max_depth") {
			t.Errorf("%s: got %v, want an error in line 11", wrong, found)
		}
		s.sub(config, "max_depth: "+wrong, "max_depth: 1")
	}
}
