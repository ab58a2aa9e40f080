package e2e

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
)

// YAML 1.1 also ends a line at characters at which editors and reviews do not, so that the
// rest of an apparent comment would be a key. Such a file is rejected.
//
// Covers L14.
func TestNothingHidesBehindAComment(t *testing.T) {
	t.Parallel()
	for _, hiding := range []string{"\u2028", "\u2029", "\u0085", "\r", "\u202e", "\u2066", "\x1b[2K"} {
		for file, line := range map[string]string{
			config:       "\n# quite harmless" + hiding + "limits: {}\n",
			"users.yaml": "\n  # quite harmless" + hiding + `  - {id: hidden, user: admin, subject: "CN=mallory", issuer: ca.pem}` + "\n",
			"policy.csv": "\n# quite harmless" + hiding + "p, user:mallory, *, *, /*, allow\n",
		} {
			s := newSite(t)
			s.put(file, s.get(file)+line)
			_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
			if err == nil || !strings.Contains(err.Error(), file+":") {
				t.Errorf("%s with %q: %v", file, hiding, err)
			}
			s.put(file, strings.Replace(s.get(file), line, "\n# Grüße, 東京, שלום\r\n", 1))
			if _, err := mtlsguard.Open(s.path(config), mtlsguard.Options{}); err != nil {
				t.Errorf("%s with a plain comment: %v", file, err)
			}
		}
	}
}

// A file in UTF-16, such as a key under a wrong name, is rejected, and its text is not quoted.
//
// Covers L14.
func TestUTF16IsRejectedAndNotQuoted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var wide strings.Builder
	wide.WriteString("\xff\xfe")
	for _, c := range []byte("SECRETKEY: [" + s.get("server-key.pem") + "\n") {
		wide.WriteByte(c)
		wide.WriteByte(0)
	}
	s.put("users.yaml", wide.String())
	_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	if err == nil || !strings.Contains(err.Error(), "not UTF-8") || strings.Contains(err.Error(), "SECRET") {
		t.Error(err)
	}
}
