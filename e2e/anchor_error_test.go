package e2e

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"os/exec"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// An anchor that cannot be one is an error at its line, and the command of the hint runs on
// its file.
func TestAnchorThatCannotBeOneIsAnErrorAtItsLine(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	s := newSite(t)
	odd := testpki.NewCA("Odd CA", func(c *x509.Certificate) { c.Subject.CommonName = "" })
	stray := testpki.NewCA("Stray CA", func(c *x509.Certificate) {
		c.KeyUsage = 0
		c.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 15}, Value: []byte("\x03\x02\x01\x06\x05\x00")}} // crypto/x509 ignores the last two bytes
	})
	script := "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj /CN=old -out csr && openssl x509 -req -in csr -signkey k.pem -days 9 -out v1.pem"
	cmd := exec.Command("sh", "-e", "-c", script)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v: %s", err, out)
	}
	s.put("bundle.pem", s.get("ca.pem")+s.get("v1.pem")+string(odd.CertPEM())+string(stray.CertPEM()))
	s.sub(config, "anchors: [ca.pem]", "anchors: [bundle.pem]")
	_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	line := strings.Count(s.get("ca.pem"), "\n") + 1
	next := line + strings.Count(s.get("v1.pem"), "\n")
	all := configerror.All(err)
	last := next + strings.Count(string(odd.CertPEM()), "\n")
	if len(all) != 3 {
		t.Fatalf("got %v, want three errors", err)
	}
	for i, want := range []struct {
		line int
		what string
	}{{line, "is an X.509 version 1 certificate"}, {next, "has an empty subject"}, {last, "cannot be read: malformed extensions"}} {
		if e := all[i]; e.File != s.path("bundle.pem") || e.Line != want.line || !strings.Contains(e.What, want.what) || !strings.Contains(e.What, "port internal, "+s.path(config)+":10") || e.Hint == "" {
			t.Errorf("%v, want line %d: %s", e, want.line, want.what)
		}
	}
	_, command, ok := strings.Cut(all[2].Hint, "what it holds: ")
	if out, err := exec.Command("sh", "-e", "-c", command).CombinedOutput(); !ok || err != nil || !strings.Contains(string(out), "Stray CA") {
		t.Errorf("the command of the hint %q: %v: %s", all[2].Hint, err, out)
	}
}
