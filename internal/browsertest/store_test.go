package browsertest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// newChromium starts Chromium with a home of its own, whose certificate store has a client
// certificate and the authority of the server. Chromium itself makes the connections, and takes
// the certificate without asking: the preference is the one that the policy
// AutoSelectCertificateForUrls sets. chromium-headless-shell has neither.
func newChromium(s *site, user string) *browser {
	s.Helper()
	home := s.TempDir()
	store := filepath.Join(home, ".pki", "nssdb")
	profile := filepath.Join(home, "profile")
	for _, folder := range []string{store, filepath.Join(profile, "Default")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			s.Fatal(err)
		}
	}
	certutil, pk12util := testkit.Program(s, "certutil", "libnss3-tools"), testkit.Program(s, "pk12util", "libnss3-tools")
	openssl := testkit.Program(s, "openssl", "openssl")
	certificate, key := s.files(user)
	bundle := filepath.Join(home, "admin.p12")
	for _, command := range [][]string{
		{openssl, "pkcs12", "-export", "-in", certificate, "-inkey", key, "-name", user, "-passout", "pass:change-me", "-out", bundle},
		{certutil, "-d", "sql:" + store, "-N", "--empty-password"},
		{certutil, "-d", "sql:" + store, "-A", "-t", "C,,", "-n", "Server CA", "-i", filepath.Join(pkiFolder, "server-ca.pem")},
		{pk12util, "-d", "sql:" + store, "-i", bundle, "-W", "change-me", "-K", ""},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			s.Fatalf("%q: %v: %s", command, err, out)
		}
	}
	choice, err := json.Marshal(map[string]any{"pattern": s.origin(), "filter": map[string]any{}})
	if err != nil {
		s.Fatal(err)
	}
	preferences, err := json.Marshal(map[string]any{"profile": map[string]any{"managed_auto_select_certificate_for_urls": []string{string(choice)}}})
	if err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profile, "Default", "Preferences"), preferences, 0o600); err != nil {
		s.Fatal(err)
	}
	return startBrowser(s, settings{
		Executable: testkit.Program(s, "chromium", "chromium"), Arguments: quiet, Environment: map[string]string{"HOME": home}, Profile: profile, Origin: s.origin(),
	})
}

// The page is opened with a certificate of the browser's own store, over HTTP/2. Events appear
// without loading the page again. Closing the connection ends the stream of events, and the browser
// comes back. With the right to look the stream is gone, and the page says so. Covers W8.
func TestCertificateOfTheBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := newChromium(s, "alice")
	b.open(view{})
	b.load("/refusals")
	b.see("signed in as alice")
	b.check("/refusals")
	testkit.Eventually(t, "the stream is open", func() bool { return s.streams.Load() == 1 })
	s.expect(http.StatusForbidden, s.pair("bob"), "GET", "internal", "/orders/7")
	b.see("1 new refusals")

	if closed := s.closeHTTP2(); closed != 1 {
		t.Errorf("closed %d connections of the browser", closed)
	}
	testkit.Eventually(t, "the stream ends, and the browser opens it again", func() bool { return s.streams.Load() == 2 && s.open.Load() == 1 })
	s.expect(http.StatusForbidden, s.pair("bob"), "GET", "internal", "/orders/7")
	b.see("2 new refusals")
	b.complaints() // about the connection that was closed

	s.put("policy.csv", strings.Replace(sitePolicy, "g, user:alice, group:admins\n", "", 1))
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	b.see("not live")
	testkit.Eventually(t, "no stream is open", func() bool { return s.open.Load() == 0 })
}

// closeHTTP2 closes the connections of alice's browser by the API of the page, and returns their
// number.
func (s *site) closeHTTP2() (closed int) {
	s.Helper()
	var all []struct {
		ID       json.Number
		Protocol string
	}
	s.get("/api/v1/connections?user=alice&port=admin", &all)
	for _, c := range all {
		if c.Protocol != "h2" && c.Protocol != "HTTP/2.0" {
			continue // of this test
		}
		res, err := testkit.Client(s, s.roots, s.pair("alice")).Post(s.origin()+"/api/v1/connections/"+c.ID.String()+"/close", "", nil)
		if err != nil {
			s.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			closed++
		}
	}
	return closed
}
