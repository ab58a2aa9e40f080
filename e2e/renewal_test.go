package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// Of a certificate and its key one may be renewed up to 30 seconds before the other. Only
// then, and only if nothing else is wrong, it is a failed reload.
func TestCertificateAndKeyMayBeRenewedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		first   string            // of server.pem and server-key.pem
		also    map[string]string // other files that change with it
		failed  bool              // at once
		content string            // of the first file; empty: the renewed one
	}{
		{name: "the certificate first", first: "server.pem"},
		{name: "the key first", first: "server-key.pem"},
		{name: "with another error", first: "server.pem", also: map[string]string{"policy.csv": "garbage"}, failed: true},
		{name: "with another change", first: "server-key.pem", also: map[string]string{"policy.csv": sitePolicy + "p, user:alice, *, GET, /more, allow\n"}},
		{name: "no key", first: "server-key.pem", content: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", failed: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			renewed := s.serve.Server()
			files := map[string]string{"server.pem": string(renewed.CertPEM()), "server-key.pem": string(renewed.KeyPEM())}
			var now testkit.Clock
			l := s.start(mtlsguard.Options{Now: now.Now})
			expect := func(when string, failed bool) {
				t.Helper()
				status := l.server.Status()
				if _, body := ready(l.server); strings.Contains(body, "degraded") != failed || len(status.Failed) > 0 != failed || len(status.Degraded) > 0 != failed {
					t.Errorf("%s: got %q, failed %v; want a failed reload: %t", when, body, status.Failed, failed)
				}
				if logged := len(l.log.find("event", "reload", "outcome", "failed")) > 0; logged != failed {
					t.Errorf("%s: logged as a failure: %t, want %t", when, logged, failed)
				}
				if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "200 alice" {
					t.Errorf("%s: got %s, want 200 alice", when, got)
				}
			}
			content := files[row.first]
			if row.content != "" {
				content = row.content
			}
			for name, text := range row.also {
				s.put(name, text)
			}
			s.put(row.first, content)
			if l.server.Reload() == nil {
				t.Fatal("half of a pair loads")
			}
			expect("at first", row.failed)
			if row.failed {
				return
			}
			waiting := l.log.find("msg", "waiting for the other file of a renewed certificate")
			if len(waiting) != 1 || waiting[0]["level"] != "INFO" || waiting[0]["file"] != s.path("server-key.pem") {
				t.Errorf("logged %v", waiting)
			}
			now.Advance(20 * time.Second)
			if l.server.Reload() == nil { // it does not begin the time again
				t.Fatal("half of a pair loads")
			}
			expect("after 20 s", false)
			now.Advance(11 * time.Second)
			testkit.Eventually(t, "the failure", func() bool {
				return len(l.log.find("event", "degraded", "outcome", "failed")) == 1 && len(l.log.find("event", "reload", "outcome", "failed")) > 0
			})
			expect("after 31 s", true)
			for name, text := range files {
				s.put(name, text)
			}
			if err := l.server.Reload(); err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, "the end", func() bool { return len(l.log.find("event", "degraded", "outcome", "ok")) == 1 })
			if got := l.server.Status(); len(got.Failed)+len(got.Degraded) > 0 || got.Generation != 2 {
				t.Errorf("got %+v, want generation 2 in order", got)
			}
			if !slices.Equal(l.presented("internal"), renewed.Cert.Raw) {
				t.Error("the old certificate is presented")
			}
		})
	}
}

// presented returns the certificate that a port presents.
func (l *live) presented(port string) []byte {
	l.Helper()
	res, err := l.client(l.alice).Get(l.url(port, "/whoami"))
	if err != nil {
		l.Fatal(err)
	}
	res.Body.Close()
	return res.TLS.PeerCertificates[0].Raw
}
