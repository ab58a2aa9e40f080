package mtlsguard_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Every line about a request names the certificate that was believed, also where
// the request was refused before anyone asked whose it is.
func TestR16_LinesNameTheCertificate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	for _, row := range []struct{ path, want, reason string }{
		{"/whoami", "200 alice", ""},
		{"/a//b", "400 ambiguous-path", "ambiguous-path"},
	} {
		if got := ask(alice, l.url("internal", row.path)); got != row.want {
			t.Fatalf("%s: %s", row.path, got)
		}
		eventually(t, "the line of "+row.path, func() bool { return len(l.log.find("event", "decision", "path", row.path)) == 1 })
		line := l.log.find("event", "decision", "path", row.path)[0]
		if line["fingerprint"] != trust.FingerprintOf(s.alice.Cert).String() || line["issuer_fingerprint"] != trust.FingerprintOf(s.ca.Cert).String() {
			t.Errorf("%s: %v", row.path, line)
		}
		if subject, _ := line["subject"].(string); !strings.HasPrefix(subject, "CN=alice") {
			t.Errorf("%s: subject %q", row.path, subject)
		}
	}
}
