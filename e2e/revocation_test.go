package e2e

import (
	"crypto/x509"
	"math/big"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// lifetime sets the lifetime of a certificate, which begins an hour ago.
func lifetime(d time.Duration) testpki.Option {
	return func(c *x509.Certificate) {
		c.NotBefore = time.Now().Add(-time.Hour)
		c.NotAfter = c.NotBefore.Add(d)
	}
}

// A certificate with a longer lifetime than its port allows is refused there.
// Covers B8.
func TestMaxLeafLifetimeRefusesLongLivedCertificates(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	s := newSite(t)
	s.sub(config, "crls: [ca.crl]", "crls: [ca.crl]\n      max_leaf_lifetime: 9552h") // 398 days
	l := s.start(mtlsguard.Options{})
	short, long := s.ca.Leaf("alice", lifetime(397*day)), s.ca.Leaf("alice", lifetime(3650*day))
	expect := func(holder *testpki.Pair, port, want string) {
		t.Helper()
		if got := get(s.client(holder), l.url(port, "/whoami")); got != want {
			t.Errorf("%s for %s: %s, want %s", port, holder.Cert.NotAfter.Sub(holder.Cert.NotBefore), got, want)
		}
	}
	expect(short, "internal", "200 alice")
	expect(long, "internal", "refused")
	expect(long, "public", "200 alice") // public has no such limit
	open := s.client(short, testkit.HTTP2)
	if got := get(open, l.url("internal", "/whoami")); got != "200 alice" {
		t.Error(got)
	}
	s.sub(config, "9552h", "24h")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(open, l.url("internal", "/whoami")); !refused(got) {
		t.Errorf("a connection that is open when the limit changes: %s", got)
	}
	expect(short, "internal", "refused")
	for _, wrong := range []string{"-1h", "one day", "24"} {
		s.sub(config, "max_leaf_lifetime: 24h", "max_leaf_lifetime: "+wrong)
		if found := configerror.All(l.server.Reload()); !hasConfigError(found, s.path(config), 12, "max_leaf_lifetime") {
			t.Errorf("%s: got %v, want an error in line 12", wrong, found)
		}
		s.sub(config, "max_leaf_lifetime: "+wrong, "max_leaf_lifetime: 24h")
	}
}

// refused reports whether an answer refuses an untrusted certificate.
func refused(answer string) bool {
	return answer == "refused" || strings.HasPrefix(answer, "403 ")
}

// A revocation configuration that does not revoke the given certificate is an error at the
// start.
// Covers G3.
func TestMustBeRevokedIsCheckedAtTheStart(t *testing.T) {
	t.Parallel()
	add := "crls: [ca.crl]\n      must_be_revoked: [known.pem]"
	for _, row := range []struct {
		name  string
		spoil func(*site)
		file  string
		line  int
		what  string
	}{
		{"revoked", func(*site) {}, "", 0, ""},
		{"not on the list", func(s *site) { s.put("ca.crl", s.crl(2)) }, config, 9, "must be revoked, but is not"},
		{"another authority's", func(s *site) { s.put("known.pem", string(s.other.Leaf("known").CertPEM())) }, config, 9, "must be revoked, but is not"},
		{"one of two", func(s *site) { s.put("known.pem", s.get("known.pem")+string(s.alice.CertPEM())) }, config, 9, "alice"},
		{"revocation off", yaml("crls: [ca.crl]", "revocation: off\n      crls: [ca.crl]"), config, 9, "must be revoked, but is not"},
		{"no CRL", yaml("crls: [ca.crl]", "crls: []"), config, 9, "must be revoked, but is not"},
		{"garbled", func(s *site) { s.put("known.pem", "garbage") }, "known.pem", 0, "PEM"},
		{"missing", func(s *site) { os.Remove(s.path("known.pem")) }, config, 12, "cannot be read"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			known := s.ca.Leaf("known")
			s.put("known.pem", string(known.CertPEM()))
			s.put("ca.crl", s.crl(1, known))
			s.sub(config, "crls: [ca.crl]", add)
			row.spoil(s)
			if row.name == "revocation off" {
				row.line = 9
			}
			_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
			if row.what == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			found := configerror.All(err)
			ok := false
			for _, m := range found {
				ok = ok || m.File == s.path(row.file) && (row.line == 0 || m.Line == row.line || m.Line == row.line+1) && strings.Contains(m.What, row.what) && m.Hint != ""
			}
			if !ok {
				t.Errorf("no error at %s:%d with %q: %v", row.file, row.line, row.what, err)
			}
		})
	}
}

// A new CRL that lacks a must_be_revoked certificate is refused.
// Covers G3.
func TestMustBeRevokedIsCheckedAtAReload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("known.pem", string(s.bob.CertPEM()))
	s.put("ca.crl", s.crl(1, s.bob))
	s.sub(config, "crls: [ca.crl]", "crls: [ca.crl]\n      must_be_revoked: [known.pem]")
	l := s.start(mtlsguard.Options{})
	s.put("ca.crl", s.crl(2))
	if err := l.server.Reload(); err == nil || !strings.Contains(err.Error(), "must be revoked") {
		t.Errorf("got %v", err)
	}
	if got := get(s.client(s.bob), l.url("internal", "/whoami")); got != "refused" {
		t.Errorf("bob: %s, want refused", got)
	}
	s.put("ca.crl", s.crl(3, s.bob, s.alice))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "refused" {
		t.Errorf("alice: %s, want refused", got)
	}
}

// newFolderSite returns a watched site whose CRLs are in a folder.
func newFolderSite(t *testing.T) *site {
	s := newWatchedSite(t)
	if err := os.Mkdir(s.path("crls"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.sub(config, "crls: [ca.crl]", "crls: [crls]")
	s.put("crls/1.crl", s.get("ca.crl"))
	return s
}

// Every CRL in a folder is in effect, and changes in the folder are seen.
func TestCRLFolderIsWatched(t *testing.T) {
	t.Parallel()
	s := newFolderSite(t)
	sub := s.ca.SubCA("Client Sub CA")
	below := sub.Leaf("alice")
	l := s.start(mtlsguard.Options{})
	alice, bob, subject := s.client(s.alice, testkit.Resuming), s.client(s.bob, testkit.Resuming), s.client(below, testkit.Resuming)
	url := l.url("internal", "/whoami")
	if a, b, c := get(alice, url), get(bob, url), get(subject, url); a != "200 alice" || b != "200 bob" || c != "refused" {
		t.Fatalf("at first: %s, %s, %s", a, b, c)
	}
	s.put("crls/sub.crl", crlPEM(sub.CRL(1, nil))) // without it the status of this authority's certificates is unknown
	l.waitFor("a file is added", func() string { return get(subject, url) }, "200 alice")
	s.put("crls/2.der", string(s.ca.CRL(2, nil).Raw)) // in addition to the first
	s.put("crls/notes.txt", "not a CRL")
	generation := l.server.Status().Generation
	testkit.Eventually(t, "a newer one is added", func() bool { return l.server.Status().Generation > generation })
	s.put("crls/3.pem", s.crl(3, s.alice))
	l.waitFor("a newer one that revokes", func() string { return get(alice, url) }, "refused")
	if got := get(bob, url); got != "200 bob" {
		t.Errorf("bob: %s, want 200 bob", got)
	}
	failures := func() int { return len(l.log.find("event", "reload", "outcome", "failed")) }
	before := failures()
	if err := os.Remove(s.path("crls/3.pem")); err != nil { // its revocations end too
		t.Fatal(err)
	}
	testkit.Eventually(t, "going back is refused", func() bool { return failures() > before })
	if got := get(alice, url); got != "refused" {
		t.Errorf("alice: %s, want refused", got)
	}
	s.put("crls/4.pem", s.crl(4, s.bob))
	l.waitFor("a newer one again", func() string { return get(alice, url) + ", " + get(bob, url) }, "200 alice, refused")
	before = failures()
	s.put("crls/broken.crl", "garbage")
	testkit.Eventually(t, "a broken file is logged", func() bool {
		return failures() > before && len(l.log.find("level", "WARN", "event", "reload", "outcome", "failed", "file", s.path("crls/broken.crl"))) > 0
	})
	if got := get(bob, url); got != "refused" {
		t.Errorf("bob: %s, want refused", got)
	}
	generation = l.server.Status().Generation
	os.Remove(s.path("crls/broken.crl"))
	testkit.Eventually(t, "the file is removed", func() bool { return l.server.Status().Generation > generation })
	before = failures()
	for _, name := range []string{"1.crl", "2.der", "4.pem", "sub.crl"} {
		os.Remove(s.path("crls/" + name))
	}
	testkit.Eventually(t, "an empty folder is refused", func() bool {
		return len(l.log.find("event", "reload", "outcome", "failed", "error", "holds no CRL")) > 0
	})
	if got := get(bob, url); got != "refused" {
		t.Errorf("bob: %s, want refused", got)
	}
}

// Files that are not CRLs, and those that are being written, are ignored.
func TestCRLFolderIgnoresOtherFiles(t *testing.T) {
	t.Parallel()
	s := newFolderSite(t)
	l := s.start(mtlsguard.Options{})
	for _, name := range []string{".2.crl", "2.crl.new123", "notes.txt"} {
		if err := os.WriteFile(s.path("crls/"+name), []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(s.path("crls/..data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.server.Reload(); err != nil {
		t.Error(err)
	}
	s.put("users.yaml", strings.Replace(siteUsers, "user: alice", "user: alicia", 1))
	alice := s.client(s.alice)
	l.waitFor("the next change", func() string { return get(alice, l.url("internal", "/whoami")) }, "200 alicia")
	if got := l.server.Status().Generation; got != 3 {
		t.Errorf("generation %d: the watcher counts them as a change", got)
	}
}

func TestCRLFolderErrors(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		spoil func(*site)
		file  string
		what  string
	}{
		"empty":          {func(s *site) { os.Remove(s.path("crls/1.crl")) }, config, "holds no CRL"},
		"not PEM":        {func(s *site) { s.put("crls/1.crl", "garbage") }, "crls/1.crl", "PEM"},
		"one of them":    {func(s *site) { s.put("crls/2.crl", crlPEM(s.ca.CRL(2, nil, critical))) }, "crls/2.crl", "critical extension"},
		"a folder":       {func(s *site) { _ = os.Mkdir(s.path("crls/x.crl"), 0o700) }, config, "is not a file"},
		"10 GiB":         {func(s *site) { _ = sparse(s.path("crls/x.crl")) }, config, "is larger than"},
		"missing folder": {func(s *site) { _ = os.RemoveAll(s.path("crls")) }, config, "cannot be read"},
	} {
		s := newFolderSite(t)
		row.spoil(s)
		_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
		found := configerror.All(err)
		ok := false
		for _, m := range found {
			ok = ok || m.File == s.path(row.file) && m.Line > 0 && strings.Contains(m.What, row.what) && m.Hint != ""
		}
		if !ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A DER file holds its own length, and its last byte may be a line end.
// Covers I10.
func TestDERFileWithALastLineEndIsWhole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ending := func(lineEnd bool) string {
		for {
			if der := s.ca.CRL(1, nil).Raw; (der[len(der)-1] == '\n') == lineEnd {
				return string(der)
			}
		}
	}
	s.put("ca.crl", ending(true))
	l := s.start(mtlsguard.Options{})
	s.put("ca.crl", ending(false))
	if err := l.server.Reload(); err != nil {
		t.Error(err)
	}
	s.put("ca.crl", strings.TrimSuffix(s.crl(2), "\n"))
	if err := l.server.Reload(); err != nil {
		t.Error(err)
	}
	whole := s.get("ca.crl")
	s.put("ca.crl", whole[:len(whole)-1])
	if err := l.server.Reload(); err == nil {
		t.Error("a truncated PEM file is loaded")
	}
}

// A CRL that is dated slightly in the future is refused, and takes effect as soon as its time
// comes, without waiting for the next CRL.
//
// Covers I14.
func TestCRLThatIsNotYetValidIsLoadedWhenItIs(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	var ahead atomic.Int64
	l := s.start(mtlsguard.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	answer := func() string { return get(s.client(s.bob), l.url("internal", "/whoami")) }
	l.waitFor("bob is accepted", answer, "200 bob")
	s.put("ca.crl", crlPEM(s.ca.CRL(2, []*big.Int{s.bob.Cert.SerialNumber}, func(list *x509.RevocationList) {
		list.ThisUpdate = time.Now().Add(5 * time.Minute) // the failure itself is repeated after ten
	})))
	failed := func() int { return len(l.log.find("event", "reload", "outcome", "failed", "file", s.path("ca.crl"))) }
	testkit.Eventually(t, "the list is refused", func() bool { return failed() > 0 })
	if got := answer(); got != "200 bob" {
		t.Errorf("before its time: %s, want 200 bob", got)
	}
	ahead.Store(int64(6 * time.Minute))
	l.waitFor("bob is revoked", answer, "refused")
	if n := failed(); n != 1 {
		t.Errorf("%d log lines about one CRL", n)
	}
}
