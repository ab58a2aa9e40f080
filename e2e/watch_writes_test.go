package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// volume is a folder that Kubernetes mounts: each name is a link into ..data, which is a link
// to a folder that is replaced as a whole.
type volume struct {
	*site
	mount   string
	version int
}

// mountVolume returns a site whose files are a volume with those of s.
func mountVolume(s *site) (*site, *volume) {
	s.Helper()
	v := &volume{site: s, mount: filepath.Join(s.dir, "mount")}
	v.swap("", "")
	for _, name := range volumeFiles {
		v.must(os.Symlink(filepath.Join("..data", name), filepath.Join(v.mount, name)))
	}
	mounted := *s
	mounted.dir = v.mount
	return &mounted, v
}

var volumeFiles = []string{config, "users.yaml", "policy.csv", "ca.pem", "ca.crl", "server.pem", "server-key.pem"}

func (v *volume) must(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

// swap replaces all files by those of the site, but one by content.
func (v *volume) swap(name, content string) {
	v.Helper()
	v.version++
	dir := fmt.Sprintf("..volume-%d", v.version)
	v.must(os.MkdirAll(filepath.Join(v.mount, dir), 0o700))
	for _, n := range volumeFiles {
		c := v.get(n)
		if n == name {
			c = content
		}
		v.must(os.WriteFile(filepath.Join(v.mount, dir, n), []byte(c), 0o600))
	}
	v.must(os.Symlink(dir, filepath.Join(v.mount, "..data_tmp")))
	v.must(os.Rename(filepath.Join(v.mount, "..data_tmp"), filepath.Join(v.mount, "..data")))
	v.must(os.RemoveAll(filepath.Join(v.mount, fmt.Sprintf("..volume-%d", v.version-1))))
}

// Every swap of a mounted volume is seen, not only the first.
// Covers I3.
func TestEverySwapOfAMountedVolumeIsLoaded(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	mounted, volume := mountVolume(s)
	l := mounted.start(mtlsguard.Options{})
	alice := s.client(s.alice, testkit.Resuming)
	for n := 1; n <= 6; n++ {
		crl, want := s.crl(int64(n+1), s.alice), "refused"
		if n%2 == 0 {
			crl, want = s.crl(int64(n+1)), "200 alice"
		}
		volume.swap("ca.crl", crl)
		l.waitFor(fmt.Sprintf("swap %d", n), func() string { return get(alice, l.url("internal", "/whoami")) }, want)
	}
}

// A broken file in a volume that all servers share takes no server out of service: each goes
// on with its last good state, is ready and degraded, and takes the mended volume. A server
// that starts meanwhile names the file.
func TestBrokenFileInASharedVolumeStopsNoServer(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	mounted, volume := mountVolume(s)
	servers := []*live{mounted.start(mtlsguard.Options{}), mounted.start(mtlsguard.Options{})}
	alice := s.client(s.alice, testkit.Resuming)
	for _, name := range []string{config, "users.yaml", "ca.crl", "server.pem"} {
		volume.swap(name, "garbage\n")
		for i, l := range servers {
			l.waitFor(name+" is broken", func() string { return strings.Join(l.server.Status().Degraded, ", ") }, "the last reload failed")
			code, body := ready(l.server)
			broken := func(e *configerror.Error) bool { return e.File == mounted.path(name) }
			if code != 200 || !strings.Contains(body, "degraded") || !slices.ContainsFunc(l.server.Status().Failed, broken) {
				t.Errorf("server %d, %s: %d %s, %v", i, name, code, body, l.server.Status().Failed)
			}
			if got := get(alice, l.url("internal", "/whoami")); got != "200 alice" {
				t.Errorf("server %d, %s: %s, want 200 alice", i, name, got)
			}
		}
		if _, err := mtlsguard.Open(mounted.path(config), mtlsguard.Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: a server that starts: %v", name, err)
		}
		volume.swap("", "")
		for _, l := range servers {
			l.waitFor(name+" is mended", func() string { return fmt.Sprint(len(l.server.Status().Degraded)) }, "0")
		}
	}
}

// After many writes the last content is in effect, and there were few reloads.
// Covers I4.
func TestManyWritesAreFewReloads(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	writes := 0
	for start := time.Now(); time.Since(start) < 1200*time.Millisecond; time.Sleep(time.Millisecond) {
		writes++
		content := strings.Replace(siteUsers, "user: alice", fmt.Sprintf("user: alice%d", writes), 1)
		if err := os.WriteFile(s.path("users.yaml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprintf("200 alice%d", writes)
	l.waitFor("the last content", func() string { return get(alice, l.url("internal", "/whoami")) }, want)
	reloads := l.server.Status().Generation - 1 + uint64(len(l.log.find("event", "reload", "outcome", "failed")))
	t.Logf("%d writes, %d reloads", writes, reloads)
	if reloads > 6 || uint64(writes) < 5*reloads { // a busy machine writes less often
		t.Errorf("%d writes, %d reloads", writes, reloads)
	}
}

// A CRL that is past half of its lifetime is logged once, also if several ports use it and
// if no file is watched. A younger CRL is not logged.
//
// Covers I6.
func TestAgingCRLIsLoggedOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("other.pem", string(s.other.CertPEM()))
	s.put("other.crl", crlPEM(s.other.CRL(1, nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(40 * time.Hour) })))
	s.sub(config, "trust: {anchors: [ca.pem]}", "trust: {anchors: [ca.pem, other.pem], crls: [ca.crl, other.crl]}")
	var now testkit.Clock
	l := s.start(mtlsguard.Options{Now: now.Now})
	logged := func(issuer string) int {
		return len(l.log.find("level", "WARN", "error", "must be replaced by", "error", issuer))
	}
	now.Advance(13 * time.Hour)
	testkit.Eventually(t, "the older CRL is logged", func() bool { return logged("Client CA") > 0 })
	if n := logged("Other CA"); n > 0 {
		t.Errorf("the younger CRL is logged %d times", n)
	}
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	now.Advance(9 * time.Hour)
	testkit.Eventually(t, "the younger CRL is logged", func() bool { return logged("Other CA") > 0 })
	if a, b := logged("Client CA"), logged("Other CA"); a != 1 || b != 1 {
		t.Errorf("the CRLs are logged %d and %d times: %v", a, b, l.log.find("error", "must be replaced by"))
	}
	if code, why := ready(l.server); code != 200 {
		t.Error(why) // neither is past its next update
	}
}

// The authorities in the certificate request are those of the current anchors.
// Covers I9.
func TestAdvertisedAuthoritiesAreTheCurrentAnchors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	advertised := func() (out []string) {
		c, err := tls.Dial("tcp", portAddr(l, "internal"), &tls.Config{
			RootCAs: s.serve.Pool(), ServerName: "localhost",
			GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				for _, ca := range r.AcceptableCAs {
					out = append(out, string(ca))
				}
				pair := s.alice.TLS()
				return &pair, nil
			},
		})
		if err == nil {
			c.Close()
		}
		return out
	}
	first, second := string(s.ca.Cert.RawSubject), string(s.other.Cert.RawSubject)
	if got := advertised(); len(got) != 1 || got[0] != first {
		t.Errorf("before: %q", got)
	}
	s.put("ca.pem", s.get("ca.pem")+string(s.other.CertPEM()))
	s.put("users.yaml", "mappings: []\n")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(advertised(), ""); got != first+second && got != second+first {
		t.Errorf("after: %q", got)
	}
	s.put("ca.pem", string(s.other.CertPEM()))
	s.put("ca.crl", crlPEM(s.other.CRL(1, nil)))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := advertised(); len(got) != 1 || got[0] != second {
		t.Errorf("in the end: %q", got)
	}
}

// A file of any size is rejected without being read if it is too large, and a file of the
// largest allowed size does no harm.
// Covers I11.
func TestFilesThatAreTooLargeAreRejected(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	for _, name := range []string{config, "users.yaml", "ca.crl", "server.pem"} {
		good := s.get(name)
		for size, what := range map[int64]string{10 << 30: "is larger than 256 MiB", 256<<20 + 1: "is larger than 256 MiB", 1 << 20: ""} {
			if err := os.Truncate(s.path(name), size); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			err := l.server.Reload()
			if err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s of %d bytes: %v", name, size, err)
			}
			if took := time.Since(start); took > testkit.Patience/2 { // a busy machine has many other tests
				t.Errorf("%s of %d bytes took %s", name, size, took)
			}
		}
		s.put(name, good)
	}
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(alice, l.url("internal", "/whoami")); got != "200 alice" {
		t.Error(got)
	}
}
