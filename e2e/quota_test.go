package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reason"
)

// statusOf returns the status and the Retry-After of an answer.
func statusOf(tb testing.TB, c *http.Client, url string) (status int, wait string) {
	tb.Helper()
	res, err := c.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode, res.Header.Get("Retry-After")
}

// A quota of the file counts by user, is logged and counted, and goes on counting through
// reloads, failed ones too.
func TestQuotasOfTheFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	without := s.get("mtlsguard.yaml")
	s.put("mtlsguard.yaml", without+"quotas:\n  - {name: few, group: staff, path: /whoami, per: user, rate: 2/h}\n")
	l := s.start(mtlsguard.Options{})
	alice, bob, url := s.client(s.alice), s.client(s.bob), l.url("internal", "/whoami")
	want := func(c *http.Client, status int) {
		t.Helper()
		if got, wait := statusOf(t, c, url); got != status || (wait != "") != (status == 429) {
			t.Errorf("status %d, Retry-After %q, want %d", got, wait, status)
		}
	}
	want(alice, 200)
	want(alice, 200)
	want(alice, 429)
	want(bob, 200)
	testkit.Eventually(t, "the line of the refusal", func() bool { return len(l.log.find("reason", "quota")) == 1 })
	line := l.log.find("reason", "quota")[0]
	if line["user"] != "alice" || line["outcome"] != "refuse" || !strings.Contains(line["error"].(string), `user alice has used up the quota "few", 2 requests each hour`) {
		t.Errorf("the line: %v", line)
	}
	for _, p := range l.server.Status().Ports {
		if p.Name == "internal" && p.Refused[reason.Quota] != 1 {
			t.Errorf("refused: %v", p.Refused)
		}
	}

	s.sub("policy.csv", "GET|POST", "GET")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	want(alice, 429)
	s.sub("mtlsguard.yaml", "rate: 2/h", "rate: none")
	if err := l.server.Reload(); err == nil {
		t.Error("a wrong quota is loaded")
	}
	want(alice, 429)
	s.sub("mtlsguard.yaml", "rate: none", "rate: 1/h")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	want2 := func(status int) {
		t.Helper()
		if got, _ := statusOf(t, alice, url); got != status {
			t.Errorf("status %d, want %d", got, status)
		}
	}
	want2(200) // another rate counts anew
	want2(429)
	s.put("mtlsguard.yaml", without)
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	want2(200)
}

// Explain names the quotas that count a request, and counts nothing.
func TestExplainNamesQuotas(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("mtlsguard.yaml", s.get("mtlsguard.yaml")+`quotas:
  - {name: staff, group: staff, rate: 1/h}
  - {name: orders, path: /orders/*, rate: 100/s, burst: 200}
  - {name: everyone, per: port, rate: 5000/s}
`)
	server, err := mtlsguard.Open(s.path("mtlsguard.yaml"), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		x, err := server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "internal", Path: "/whoami", Certificates: s.alice.Presented()})
		if err != nil || !x.Allowed || len(x.Quotas) != 2 {
			t.Fatalf("%v %v %s, quotas %v", err, x.Allowed, x.Reason, x.Quotas)
		}
		if x.Quotas[0].Name != "staff" || x.Quotas[1].Name != "everyone" {
			t.Errorf("got the quotas %v, want staff, then everyone", x.Quotas)
		}
		if want := `quota: "everyone", 5000 requests each second and at most 5000 at once, per port`; x.Steps[len(x.Steps)-1] != want {
			t.Errorf("%q, want %q", x.Steps[len(x.Steps)-1], want)
		}
	}
}
