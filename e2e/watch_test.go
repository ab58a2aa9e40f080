package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// newWatchedSite returns a site whose files are watched.
func newWatchedSite(t *testing.T) *site {
	s := newSite(t)
	s.sub(config, "reload: 0", "reload: 50ms")
	return s
}

func (l *live) waitFor(what string, answer func() string, want string) {
	l.Helper()
	var got string
	defer func() {
		if l.Failed() {
			l.Logf("the last answer was %s, want %s", got, want)
		}
	}()
	testkit.Eventually(l.TB, what, func() bool { got = answer(); return got == want })
}

// Every file is watched, mtlsguard.yaml too: a bad one is logged, a good one loaded.
func TestEveryFileIsWatched(t *testing.T) {
	t.Parallel()
	for _, file := range siteFiles {
		for name, spoil := range map[string]func(good string) string{
			"empty":   func(string) string { return "" },
			"garbage": func(string) string { return "garbage\x00" },
			"half":    func(good string) string { return good[:len(good)/2-3] },
		} {
			t.Run(file.name+" "+name, func(t *testing.T) {
				t.Parallel()
				s := newWatchedSite(t)
				l := s.start(mtlsguard.Options{})
				alice := s.client(s.alice)
				answer := func() string { return get(alice, l.url("internal", "/whoami")) }
				good, generation := s.get(file.name), l.server.Status().Generation
				s.put(file.name, spoil(good))
				testkit.Eventually(t, "bad content is logged or loaded", func() bool {
					failed := l.log.find("level", "WARN", "event", "reload", "outcome", "failed", "file", s.path(file.name))
					return len(failed) > 0 || l.server.Status().Generation > generation
				})
				if got := answer(); got != "200 alice" && file.pem {
					t.Errorf("with bad content: %s", got)
				}
				generation = l.server.Status().Generation
				s.put(file.name, good)
				testkit.Eventually(t, "the good file is taken", func() bool { return l.server.Status().Generation > generation })
				l.waitFor("alice is back", answer, "200 alice")
			})
		}
	}
}

// A changed file takes effect without a signal, and a reload turns watching off and on.
func TestReloadSettingTurnsWatchingOnAndOff(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	answer := func() string { return get(alice, l.url("internal", "/whoami")) }
	s.sub(config, "reload: 0", "reload: 50ms")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	s.sub("users.yaml", "user: alice", "user: alicia") // without a signal
	l.waitFor("watching is on", answer, "200 alicia")
	s.sub(config, "reload: 50ms", "reload: 0")
	testkit.Eventually(t, "watching is off", func() bool { return l.server.Status().Generation == 4 })
}

// A file that another file newly names is waited for as well, and watched from then on.
func TestNewlyNamedFileIsWatched(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	answer := func() string { return get(alice, l.url("internal", "/whoami")) }
	s.put("other.csv", "p, group:Everybody, *, GET, /whoami, deny\n")
	s.sub(config, "policy: policy.csv", "policy: other.csv")
	l.waitFor("the other policy", answer, "403 denied")
	s.put("other.csv", sitePolicy)
	l.waitFor("its change", answer, "200 alice")
}

// The certificate is replaced, and its key a little later: no handshake fails.
// Covers I2.
func TestCertificateIsReplacedBeforeItsKey(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	l := s.start(mtlsguard.Options{})
	var stop atomic.Bool
	var handshakes, failures atomic.Int64
	var clients sync.WaitGroup
	serial := func() (string, error) {
		c, err := tls.Dial("tcp", l.server.Ports()[1].Addr().String(), &tls.Config{RootCAs: s.serve.Pool(), ServerName: "localhost"})
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
	}
	for range 2 {
		clients.Go(func() {
			for !stop.Load() {
				if _, err := serial(); err != nil {
					failures.Add(1)
				}
				handshakes.Add(1)
				time.Sleep(5 * time.Millisecond) // the files are what is tested, not the speed
			}
		})
	}
	renewed := s.serve.Server()
	s.put("server.pem", string(renewed.CertPEM()))
	time.Sleep(100 * time.Millisecond) // the time between the two files
	s.put("server-key.pem", string(renewed.KeyPEM()))
	testkit.Eventually(t, "the renewed certificate is served", func() bool {
		got, err := serial()
		return err == nil && got == renewed.Cert.SerialNumber.String()
	})
	stop.Store(true)
	clients.Wait()
	if failures.Load() > 0 || handshakes.Load() == 0 {
		t.Errorf("%d of %d handshakes failed", failures.Load(), handshakes.Load())
	}
}

// A policy that is written slowly, in place, is a complete one at every line, without the
// denying rules at its end. It is not loaded before it is complete.
// Covers I10.
func TestHalfWrittenPolicyIsNotLoaded(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	const allow, deny = "p, user:alice, internal, GET, /secret, allow\n", "p, user:alice, internal, GET, /secret, deny\n"
	s.put("policy.csv", sitePolicy+allow+deny)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	answer := func() string { return get(alice, l.url("internal", "/secret")) }
	if got := answer(); got != "403 denied" {
		t.Fatalf("before: %s, want 403 denied", got)
	}
	slowly := allow + strings.Repeat(sitePolicy, 2) + deny + "p, user:alice, *, GET, /new, allow\n"
	for tries := 1; !writeSlowly(t, s.path("policy.csv"), slowly, func() bool { return answer() == "403 denied" }); tries++ {
		if tries == 20 {
			t.Fatal("this machine is too busy to write a line every 80 ms")
		}
		generation := l.server.Status().Generation
		if err := l.server.Reload(); err != nil || l.server.Status().Generation == generation {
			t.Fatal(err)
		}
	}
	l.waitFor("the new policy", func() string { return get(alice, l.url("internal", "/new")) }, "200 alice")
	if got := answer(); got != "403 denied" {
		t.Errorf("after: %s, want 403 denied", got)
	}
}

// writeSlowly writes a file in place, a line every 80 ms, and fails the test if holds returns
// false meanwhile. It returns false, with the file as it was, if a line took so long that the
// watcher may have read the file.
func writeSlowly(t *testing.T, path, content string, holds func() bool) bool {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	written, slow := time.Now(), false
	for line := range strings.Lines(content) {
		f.WriteString(line)
		start := time.Now()
		slow = slow || start.Sub(written) > 300*time.Millisecond // since the previous line
		written = start
		for ; time.Since(start) < 80*time.Millisecond; time.Sleep(5 * time.Millisecond) {
			held := holds() // the pace is part of the test
			if slow || time.Since(start) > 300*time.Millisecond {
				if err := os.WriteFile(path, before, 0o600); err != nil {
					t.Fatal(err)
				}
				return false
			}
			if !held {
				t.Fatal("half of the policy is in effect")
			}
		}
	}
	return true
}

// A certificate chain that is written in pieces is loaded when it is complete: no client gets
// a certificate without its intermediate. Covers J15.
func TestHalfWrittenChainIsNotLoaded(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	sub := s.serve.SubCA("Server Sub CA")
	first := sub.Server()
	s.put("server.pem", string(first.CertPEM()))
	s.put("server-key.pem", string(first.KeyPEM()))
	l := s.start(mtlsguard.Options{})
	addr := strings.TrimPrefix(l.url("public", ""), "https://")
	presented := func() (*x509.Certificate, error) {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: s.serve.Pool(), ServerName: "localhost"})
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0], nil
	}
	for tries := 1; ; tries++ {
		again := testpki.Make(sub, first.Key, &x509.Certificate{
			Subject: first.Cert.Subject, KeyUsage: first.Cert.KeyUsage, ExtKeyUsage: first.Cert.ExtKeyUsage, DNSNames: first.Cert.DNSNames, IPAddresses: first.Cert.IPAddresses,
		})
		written := writeBlocks(t, s.path("server.pem"), string(again.CertPEM()))
		var refused error
		testkit.Eventually(t, "the new certificate", func() bool {
			now, err := presented()
			refused = err
			return err != nil || now.Equal(again.Cert)
		})
		inTime := <-written
		if refused == nil {
			return
		}
		if inTime || tries == 20 {
			t.Fatalf("a client was refused: %v", refused)
		}
		testkit.Eventually(t, "the whole chain", func() bool { now, err := presented(); return err == nil && now.Equal(again.Cert) })
	}
}

// writeBlocks writes a file in place, a certificate every 300 ms. It sends whether each was written so
// soon that the watcher cannot have taken the ones before for the whole.
func writeBlocks(t *testing.T, path, content string) <-chan bool {
	t.Helper()
	written := make(chan bool, 1)
	go func() {
		inTime := true
		defer func() { written <- inTime }()
		last := time.Now()
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for _, block := range strings.SplitAfter(content, "-----END CERTIFICATE-----\n") {
			f.WriteString(block)
			inTime = inTime && time.Since(last) < 1400*time.Millisecond
			last = time.Now()
			time.Sleep(300 * time.Millisecond)
		}
	}()
	return written
}
