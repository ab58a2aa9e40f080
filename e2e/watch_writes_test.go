package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// Every swap of a mounted volume is seen, not only the first.
// Covers I3.
func TestEverySwapOfAMountedVolumeIsLoaded(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	names := []string{config, "users.yaml", "policy.csv", "ca.pem", "ca.crl", "server.pem", "server-key.pem"}
	mount := filepath.Join(s.dir, "mount")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	volume := func(n int, crl string) {
		dir := fmt.Sprintf("..volume-%d", n)
		must(os.MkdirAll(filepath.Join(mount, dir), 0o700))
		for _, name := range names {
			content := s.get(name)
			if name == "ca.crl" {
				content = crl
			}
			must(os.WriteFile(filepath.Join(mount, dir, name), []byte(content), 0o600))
		}
		must(os.Symlink(dir, filepath.Join(mount, "..data_tmp")))
		must(os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data")))
		must(os.RemoveAll(filepath.Join(mount, fmt.Sprintf("..volume-%d", n-1))))
	}
	volume(0, s.crl(1))
	for _, name := range names {
		must(os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)))
	}
	mounted := *s
	mounted.dir = mount
	l := mounted.start(mtlsguard.Options{})
	alice := s.client(s.alice, testkit.Resuming)
	for n := 1; n <= 6; n++ {
		crl, want := s.crl(int64(n+1), s.alice), "refused"
		if n%2 == 0 {
			crl, want = s.crl(int64(n+1)), "200 alice"
		}
		volume(n, crl)
		l.waitFor(fmt.Sprintf("swap %d", n), func() string { return get(alice, l.url("internal", "/whoami")) }, want)
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
	for _, name := range []string{config, "users.yaml", "policy.csv", "ca.pem", "ca.crl", "server.pem"} {
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
			if took := time.Since(start); took > 5*time.Second {
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
