//go:build linux

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// balancer is a proxy that passes TLS through.
type balancer struct {
	name, program, debian string
	conf                  string
	run                   func(conf, folder string) []string
}

const haproxyTCP = `defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen services
    bind @LISTEN@
    server orders @SERVICE@ @OPTIONS@
`

func haproxyWith(options string) balancer {
	return balancer{
		name: "haproxy " + options, program: "haproxy", debian: "haproxy", conf: strings.Replace(haproxyTCP, "@OPTIONS@", options, 1),
		run: func(conf, _ string) []string { return []string{"-db", "-f", conf} },
	}
}

var nginxStream = balancer{
	name: "nginx stream", program: "nginx", debian: "nginx-light",
	conf: `load_module @MODULES@/ngx_stream_module.so;
events {}
stream {
    server {
        listen @LISTEN@;
        proxy_pass @SERVICE@;
        proxy_protocol on;
    }
}
`,
	run: products[0].run,
}

const nginxModules = "/usr/lib/nginx/modules"

// start starts the balancer in front of a port, and returns its URL.
func (b balancer) start(t *testing.T, l *live) string {
	t.Helper()
	testkit.Program(t, b.program, b.debian)
	if strings.Contains(b.conf, "@MODULES@") {
		if _, err := os.Stat(nginxModules + "/ngx_stream_module.so"); err != nil {
			testkit.Skip(t, "the module stream of nginx is not installed: it is in the Debian package libnginx-mod-stream")
		}
	}
	gateway := &realGateway{behind: &behind{site: l.site}, product: &product{program: b.program, debian: b.debian}}
	for range 3 { // another program may take the port first
		folder, address := t.TempDir(), testkit.FreeAddress(t)
		conf := strings.NewReplacer("@LISTEN@", address, "@SERVICE@", portAddr(l, "internal"), "@MODULES@", nginxModules).Replace(b.conf)
		file := filepath.Join(folder, "gateway.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		if gateway.launch(folder, address, b.run(file, folder)...) {
			_, port, _ := net.SplitHostPort(address)
			return "https://localhost:" + port
		}
	}
	t.Fatal("the proxy does not start")
	return ""
}

// proxied returns a site whose callers come through a proxy at 127.0.0.1, and whose handler
// answers with the caller's address.
func proxied(t *testing.T) *site {
	s := newSite(t)
	s.sub(config, "    strict: true\n", "    strict: true\n    proxy_protocol: {from: [127.0.0.1/32]}\n    addresses: {deny: [127.0.0.66/32]}\n")
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })
	return s
}

// Behind a real proxy that passes TLS through, the caller's address is its own: in the request, in
// the log and for addresses. The proxy's own connections, its health checks, end without
// refusal.
// Covers N2.
func TestRealProxiesForwardTheCallersAddress(t *testing.T) {
	t.Parallel()
	curl := testkit.Program(t, "curl", "curl")
	for _, b := range []balancer{
		haproxyWith("send-proxy"), haproxyWith("send-proxy-v2"), haproxyWith("send-proxy check inter 50ms"),
		haproxyWith("send-proxy-v2-ssl-cn check inter 50ms"), nginxStream,
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := proxied(t)
			s.TB = t
			l := s.start(mtlsguard.Options{})
			url := b.start(t, l)
			s.put("alice.pem", string(s.alice.CertPEM()))
			s.put("alice-key.pem", string(s.alice.KeyPEM()))
			s.put("server-ca.pem", string(s.serve.CertPEM()))
			call := func(from string) string {
				out, err := exec.Command(curl, "-sS", "--max-time", "20", "--ipv4", "--interface", from, "--cacert", s.path("server-ca.pem"),
					"--cert", s.path("alice.pem"), "--key", s.path("alice-key.pem"), url+"/whoami").CombinedOutput()
				return fmt.Sprint(string(out), err)
			}
			if got := call("127.0.0.5"); !strings.HasPrefix(got, "127.0.0.5:") || !strings.HasSuffix(got, "<nil>") {
				t.Errorf("the answer is %q", got)
			}
			if line := l.line("event", "decision"); !strings.HasPrefix(fmt.Sprint(line["remote"]), "127.0.0.5:") || !strings.HasPrefix(fmt.Sprint(line["via_proxy"]), "127.0.0.1:") {
				t.Errorf("logged %v, want remote 127.0.0.5 via 127.0.0.1", line)
			}
			if got := call("127.0.0.66"); strings.HasSuffix(got, "<nil>") {
				t.Errorf("a denied address: %q", got)
			}
			if line := l.line("event", "handshake", "reason", "address"); !strings.HasPrefix(fmt.Sprint(line["remote"]), "127.0.0.66:") || !strings.HasPrefix(fmt.Sprint(line["via_proxy"]), "127.0.0.1:") {
				t.Errorf("logged %v, want remote 127.0.0.66 via 127.0.0.1", line)
			}
			if strings.Contains(b.name, "check") {
				testkit.Eventually(t, "health checks come", func() bool { return status(l, "internal").Failed > 2 })
				if got := call("127.0.0.5"); !strings.HasPrefix(got, "127.0.0.5:") { // the proxy takes the service for healthy
					t.Errorf("after health checks: %q", got)
				}
			}
			for r, n := range status(l, "internal").Handshakes {
				if r != "" && r != "address" && r != "no-certificate" { // launch connects without one
					t.Errorf("%d handshakes are refused as %s", n, r)
				}
			}
		})
	}
}

// A header from any other address is refused, whatever address it has, and so is the proxy without
// one. Covers N2.
func TestForgedProxyHeadersAreRefused(t *testing.T) {
	t.Parallel()
	s := proxied(t)
	s.sub(config, "from: [127.0.0.1/32]", "from: [10.0.0.0/8]")
	l := s.start(mtlsguard.Options{})
	for _, header := range []string{"PROXY TCP4 10.0.0.1 10.0.0.2 1 443\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x01\xbb"} {
		c, err := net.Dial("tcp", portAddr(l, "internal"))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, header)
		c.SetReadDeadline(time.Now().Add(testkit.Patience))
		if answer, err := io.ReadAll(c); len(answer) > 0 && answer[0] != 21 || err != nil && strings.Contains(err.Error(), "timeout") { // nothing, or an alert
			t.Errorf("got %q, %v; want nothing or an alert", answer, err)
		}
		c.Close()
	}
	testkit.Eventually(t, "both are refused", func() bool { return status(l, "internal").Handshakes["untrusted-gateway"] == 2 })
	for _, line := range l.log.find("event", "handshake", "reason", "untrusted-gateway") {
		if !strings.HasPrefix(fmt.Sprint(line["remote"]), "127.0.0.1:") || line["via_proxy"] != nil || !strings.Contains(fmt.Sprint(line["error"]), "which is not in proxy_protocol.from of the port") {
			t.Errorf("logged %v, want the peer's own address, and proxy_protocol.from as the cause", line)
		}
	}
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); !strings.HasPrefix(got, "200 127.0.0.1:") {
		t.Errorf("without a header: %s", got)
	}
	s.sub(config, "from: [10.0.0.0/8]", "from: [127.0.0.0/8]")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "refused" {
		t.Errorf("the proxy without a header: %s, want refused", got)
	}
	if line := l.line("event", "handshake", "reason", "bad-header"); !strings.Contains(fmt.Sprint(line["error"]), "begins with TLS, without a PROXY header") {
		t.Errorf("logged %v, want the missing PROXY header as the cause", line)
	}
}
