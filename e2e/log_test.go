package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Every log line about a request names the verified certificate, also if the request was
// refused before the certificate was mapped.
func TestLogLinesNameTheCertificate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	for _, row := range []struct{ path, want, reason string }{
		{"/whoami", "200 alice", ""},
		{"/a//b", "400 ambiguous-path", "ambiguous-path"},
	} {
		if got := get(alice, l.url("internal", row.path)); got != row.want {
			t.Fatalf("%s: got %s, want %s", row.path, got, row.want)
		}
		testkit.Eventually(t, "the line of "+row.path, func() bool { return len(l.log.find("event", "decision", "path", row.path)) == 1 })
		line := l.log.find("event", "decision", "path", row.path)[0]
		if line["fingerprint"] != trust.FingerprintOf(s.alice.Cert).String() || line["issuer_fingerprint"] != trust.FingerprintOf(s.ca.Cert).String() {
			t.Errorf("%s: logged %v, want alice's fingerprint and her issuer's", row.path, line)
		}
		if subject, _ := line["subject"].(string); !strings.HasPrefix(subject, "CN=alice") {
			t.Errorf("%s: subject %q", row.path, subject)
		}
	}
}

// A header in Options.IdentityHeaders is deleted like the known ones.
// Covers F17.
func TestIdentityHeadersOfTheProgramAreDropped(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var got http.Header
	s.handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
	l := s.start(mtlsguard.Options{IdentityHeaders: []string{"Acme-Caller"}})
	request, err := http.NewRequest(http.MethodGet, l.url("internal", "/whoami"), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header["ACME_Caller"] = []string{"bob"}
	request.Header.Set("Acme-Trace", "7")
	answer, err := s.client(s.alice).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK || got.Get("Acme-Trace") != "7" {
		t.Errorf("%d, headers %v", answer.StatusCode, got)
	}
	for name := range got {
		if strings.EqualFold(strings.ReplaceAll(name, "_", "-"), "acme-caller") {
			t.Errorf("header %s reached the handler", name)
		}
	}
}
