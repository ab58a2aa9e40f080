package e2e

import (
	"fmt"
	"testing"

	"github.com/mtlsguard/mtlsguard"
)

// With Options.Shadow Casbin checks every decision, also across a reload, and agrees. A
// negative value is an error.
func TestShadowChecksDecisions(t *testing.T) {
	s := newSite(t)
	l := s.start(mtlsguard.Options{ShadowEvery: 1})
	client := s.client(s.alice)
	var want mtlsguard.Status
	want.Shadow.Checked = 5
	for _, round := range []string{"at the start", "after a reload"} {
		for range 5 {
			get(client, l.url("internal", "/whoami"))
		}
		l.waitFor("Casbin to be asked "+round, func() string { return fmt.Sprint(l.server.Status().Shadow) }, fmt.Sprint(want.Shadow))
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := mtlsguard.Open(s.path("mtlsguard.yaml"), mtlsguard.Options{ShadowEvery: -1}); err == nil {
		t.Error("Shadow: -1 is accepted")
	}
}
