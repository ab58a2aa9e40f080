package e2e

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
)

// An error in a file that mtlsguard.yaml names has both positions.
func TestErrorOfANamedFileSaysBothPlaces(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ file, content, named string }{
		{"ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "(port internal, CONFIG:10)"},
		{"ca.crl", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "(port internal, CONFIG:11)"},
		{"server-key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "(port internal, CONFIG:8)"},
		{"users.yaml", "mappings: 1\n", "(CONFIG:1)"},
		{"policy.csv", "garbage\n", "(CONFIG:2)"},
	} {
		s := newSite(t)
		s.put(row.file, row.content)
		_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
		all := configerror.All(err)
		named := strings.Replace(row.named, "CONFIG", s.path(config), 1)
		found := false
		for _, e := range all {
			found = found || e.File == s.path(row.file) && e.Line > 0 && strings.Contains(e.Error(), named)
		}
		if !found {
			t.Errorf("%s: %v, want %s", row.file, err, named)
		}
	}
}
