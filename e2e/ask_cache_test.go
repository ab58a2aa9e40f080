//go:build linux

package e2e

import (
	"os"
	"strings"
	"testing"
)

// nginx keeps no answer, even if an operator sets a cache for the question, with a key that does
// not distinguish callers: nginx asks about each caller, and a change of the policy takes effect.
// Covers Z10.
func TestNginxKeepsNoAnswer(t *testing.T) {
	t.Parallel()
	for i := range products {
		if products[i].name != "nginx" {
			continue
		}
		p := startAsking(t, &products[i], func(p *realGateway) {
			text, err := os.ReadFile(p.source)
			if err != nil {
				t.Fatal(err)
			}
			p.source = p.path("caching.conf")
			p.put("caching.conf", strings.NewReplacer(
				"http {\n", "http {\n    proxy_cache_path "+p.path("cache")+" keys_zone=answers:1m;\n",
				"            internal;\n            proxy_pass https", "            internal;\n            proxy_cache answers;\n            proxy_cache_key $request_uri;\n            proxy_cache_valid any 1h;\n            proxy_pass https",
			).Replace(string(text)))
			if text := p.get("caching.conf"); !strings.Contains(text, "keys_zone=answers") || !strings.Contains(text, "proxy_cache answers") {
				t.Fatal("the configuration has another form")
			}
		})
		for range 2 {
			if got, _ := p.send(p.alice, "GET", "/orders/7"); got != "200 alice" {
				t.Errorf("alice: %s, want 200 alice", got)
			}
			if got, _ := p.send(p.bob, "GET", "/orders/7"); got != "403" {
				t.Errorf("bob: %s, want 403", got)
			}
		}
		p.put("policy.csv", "p, user:alice, *, *, /orders/*, deny\n")
		if err := p.live.server.Reload(); err != nil {
			t.Fatal(err)
		}
		if got, _ := p.send(p.alice, "GET", "/orders/7"); got != "403" {
			t.Errorf("alice, when her rule is gone: %s, want 403", got)
		}
		return
	}
	t.Fatal("there is no nginx")
}
