//go:build linux

package e2e

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// logSettings holds, by gateway, the text of its configuration below which the settings for its
// log go, and the replacement that makes it refuse clients without a certificate.
var logSettings = map[string]struct{ below, optional, required string }{
	"nginx":   {"http {\n", "ssl_verify_client optional;", "ssl_verify_client on;"},
	"haproxy": {"defaults\n", "verify optional", "verify required"},
	"apache":  {"ErrorLog \"@RUN@/error.log\"\n", "SSLVerifyClient optional", "SSLVerifyClient require"},
	"caddy":   {"\tadmin off\n", "mode verify_if_given", "mode require_and_verify"},
}

// documentedLog returns the settings that docs/gateways.md shows for a gateway's log, and by
// refusal the text that its line contains.
func documentedLog(t *testing.T, name string) (settings string, lines map[string]string) {
	t.Helper()
	page, err := os.ReadFile("../docs/gateways.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Refusals that never reach the service\n")
	section, _, _ = strings.Cut(section, "\n## ")
	language := map[string]string{"caddy": "caddyfile"}[name]
	if language == "" {
		language = name
	}
	_, settings, _ = strings.Cut(section, "```"+language+"\n")
	settings, _, _ = strings.Cut(settings, "```\n")
	lines = map[string]string{}
	title := map[string]string{"nginx": "nginx", "haproxy": "HAProxy", "apache": "Apache httpd", "caddy": "Caddy"}[name]
	for _, row := range regexp.MustCompile("(?m)^\\| "+title+" \\| (.*) \\| `(.*)` \\|$").FindAllStringSubmatch(section, -1) {
		lines[row[1]] = strings.ReplaceAll(row[2], `\|`, "|")
	}
	if settings == "" || len(lines) != 4 {
		t.Fatalf("docs/gateways.md lacks the log of %s: %q %q", name, settings, lines)
	}
	return settings, lines
}

const withoutCertificate = "no certificate, where the gateway requires one"

// With the documented settings, the log of each gateway has the documented line for a refusal of
// which the service learns nothing.
func TestLogOfAGatewayNamesTheRefusal(t *testing.T) {
	t.Parallel()
	forEachProduct(t, func(t *testing.T, product *product) {
		settings, lines := documentedLog(t, product.name)
		change := logSettings[product.name]
		start := func(old, replacement string) *realGateway {
			own := *product
			own.place = func(conf, folder string) string {
				conf = strings.Replace(conf, old, replacement, 1)
				below := strings.ReplaceAll(change.below, "@RUN@", folder)
				if !strings.Contains(conf, below) || !strings.Contains(conf, replacement) {
					t.Fatalf("the configuration has no %q or no %q", below, old)
				}
				conf = strings.Replace(conf, below, below+strings.ReplaceAll(settings, "@RUN@", folder), 1)
				if product.place != nil {
					conf = product.place(conf, folder)
				}
				return conf
			}
			return behindReal(t, &own, func(p *realGateway) { p.texts = noRetries })
		}
		log := func(p *realGateway) string {
			text, _ := os.ReadFile(filepath.Join(p.folder, "error.log"))
			return p.printed.String() + string(text)
		}
		expect := func(p *realGateway, refusal string, holder *testpki.Pair) {
			t.Helper()
			want, before := lines[refusal], len(log(p))
			decisions := len(p.live.log.find("event", "decision"))
			if want == "" {
				t.Fatalf("docs/gateways.md has no line for %q", refusal)
			}
			if got := p.curl(holder); strings.HasPrefix(got, "200") {
				t.Errorf("%s: got %s", refusal, got)
			}
			text := ""
			defer func() {
				if t.Failed() {
					t.Logf("%s: no %q in\n%s", refusal, want, text)
				}
			}()
			testkit.Eventually(t, refusal, func() bool { text = log(p)[before:]; return strings.Contains(text, want) })
			if len(p.live.log.find("event", "decision")) != decisions {
				t.Errorf("%s: the service got a request", refusal)
			}
		}
		p := start(change.optional, change.required)
		if got := p.curl(p.alice); got != "200 alice" {
			t.Fatalf("alice: %s, want 200 alice", got)
		}
		testkit.Eventually(t, "the decision about alice is logged", func() bool { return len(p.live.log.find("event", "decision")) > 0 })
		for refusal, want := range lines { // the test itself connects without a certificate, to see that the gateway has started
			if refusal != withoutCertificate && strings.Contains(log(p), want) {
				t.Errorf("%q is logged without a refusal:\n%s", want, log(p))
			}
		}
		expect(p, "the client's authority is unknown", p.other.Leaf("mallory"))
		expect(p, "the client's certificate has expired", p.ca.Leaf("late", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
		expect(p, withoutCertificate, nil)
		p = start("service-ca.pem", "client-ca.pem")
		expect(p, "the gateway does not trust the service's certificate", p.alice)
	})
}
