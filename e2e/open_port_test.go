package e2e

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
)

// A port with client_cert: none on every address may be a configuration error, so the log has
// a warning.
// Covers H13.
func TestNonePortOnEveryAddressIsAWarning(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		listen string
		warned bool
	}{{"0.0.0.0:0", true}, {"'[::]:0'", true}, {"':0'", true}, {"127.0.0.1:0", false}} {
		s := newSite(t)
		s.sub(config, "client_cert: request", "client_cert: none")
		s.put(config, strings.Replace(s.get(config), "- name: public\n    listen: 127.0.0.1:0", "- name: public\n    listen: "+row.listen, 1))
		l := s.start(mtlsguard.Options{})
		if got := len(l.log.find("level", "WARN", "error", "listens on every address")) == 1; got != row.warned {
			t.Errorf("%s: warning logged: %t, want %t", row.listen, got, row.warned)
		}
		l.end()
	}
}
