//go:build linux

package e2e

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// addsClientIP are the changes of a gateway's configuration with which it adds the address of its
// client to X-Forwarded-For. Caddy and Apache do so without any.
var addsClientIP = map[string][2]string{
	"nginx":   {"proxy_set_header Host       $host;", "proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"},
	"haproxy": {"mode http\n", "mode http\n    option forwardfor\n"},
	"apache":  {"", ""},
	"caddy":   {"", ""},
}

// Behind a real gateway the caller's address is what the gateway adds, whatever the caller sends.
// It is in the handler's identity and in the log, beside the address of the connection.
// Covers N7.
func TestRealGatewaysForwardTheCallersAddress(t *testing.T) {
	t.Parallel()
	for i := range products {
		change, ok := addsClientIP[products[i].name]
		if !ok {
			continue
		}
		t.Run(products[i].name, func(t *testing.T) {
			t.Parallel()
			p := behindReal(t, &products[i], func(p *realGateway) {
				p.sub(config, "    forwarded:\n", "    forwarded:\n      client_ip: X-Forwarded-For\n      hops: 1\n")
				p.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					id, _ := identity.FromContext(r.Context())
					io.WriteString(w, id.User+" "+id.Remote.String())
				})
			})
			url := p.start(change[0], change[1])
			for from, want := range map[string]string{"127.0.0.5": "200 alice 127.0.0.5", "127.0.0.6": "200 alice 127.0.0.6"} {
				c := p.client(p.alice, func(t *http.Transport) {
					t.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext
				})
				for _, sent := range []string{"", "192.0.2.66", "192.0.2.66, unknown"} {
					if got := get(withHeaders(c, "X-Forwarded-For", sent), url+"/whoami"); got != want {
						t.Errorf("from %s, with %q: %s, want %s", from, sent, got, want)
					}
				}
			}
			testkit.Eventually(t, "six lines", func() bool { return len(p.live.log.find("event", "decision", "client_ip", "127.0.0.")) == 6 })
			for _, line := range p.live.log.find("event", "decision", "client_ip", "127.0.0.") {
				if host, _, _ := net.SplitHostPort(line["remote"].(string)); host != "127.0.0.1" || line["user"] != "alice" {
					t.Errorf("logged %v, want alice with the gateway's address as remote", line)
				}
			}
		})
	}
}
