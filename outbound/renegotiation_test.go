package outbound_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A server may request the certificate only after it has read the path. Here OpenSSL
// renegotiates while a request waits for its answer.
func TestRenegotiation(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	for _, row := range []struct {
		name   string
		listed bool
	}{{"listed", true}, {"not listed", false}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			url, command, out := openssl(t)
			w := newFixture(t, "alice")
			w.config.MustBeAsked = row.listed // a later certificate request is enough
			if row.listed {
				w.config.Renegotiate = []string{"https://elsewhere.example", url}
			}
			c := w.client()
			answer := make(chan string, 1)
			ctx, cancel := context.WithCancel(as(t, "alice"))
			defer cancel()
			go func() {
				got, err := get(ctx, c, url+"/private")
				if err != nil {
					got = err.Error()
				}
				answer <- got
			}()
			testkit.Eventually(t, "the request is there", func() bool { return strings.Contains(out.String(), "GET /private") })
			command("R\n")
			if !row.listed {
				time.Sleep(300 * time.Millisecond) // a renegotiation would have arrived by then
				cancel()
				if got := <-answer; strings.Contains(got, "hello") || strings.Contains(out.String(), "CN = alice") {
					t.Errorf("a server that is not listed renegotiated: %q", got)
				}
				return
			}
			testkit.Eventually(t, "the server has seen alice", func() bool { return strings.Contains(out.String(), "CN = alice") })
			command("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
			if got := <-answer; got != "hello" {
				t.Errorf("got %q, want %q", got, "hello")
			}
			events := w.takeEvents()
			if len(events) != 2 {
				t.Fatalf("got %+v, want two handshakes", events)
			}
			if h := events[0]; h.Asked || h.Sent || h.Renegotiated || h.Err != nil || h.Version != tls.VersionTLS12 || h.Protocol == "h2" {
				t.Errorf("the first handshake: %+v", h)
			}
			if h := events[1]; !h.Asked || !h.Sent || !h.Renegotiated || h.Alias != "alice" || h.Unacceptable != nil {
				t.Errorf("the second handshake: %+v", h)
			}
		})
	}
}

// openssl starts a server that is controlled by its standard input.
func openssl(t *testing.T) (url string, command func(string), out *testkit.Buffer) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"cert.pem": server.CertPEM(), "key.pem": server.KeyPEM(), "ca.pem": clientCA.CertPEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem", "-CAfile", "ca.pem", "-naccept", "1")
	cmd.Dir = dir
	out = &testkit.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	accept := regexp.MustCompile(`ACCEPT 127\.0\.0\.1:(\d+)`)
	testkit.Eventually(t, "openssl listens", func() bool { return accept.MatchString(out.String()) })
	return "https://127.0.0.1:" + accept.FindStringSubmatch(out.String())[1], func(text string) { io.WriteString(in, text) }, out
}

// A call to an origin that may renegotiate uses HTTP/1.1 and TLS 1.2; other calls do not.
func TestOnlyListedOriginsRenegotiate(t *testing.T) {
	t.Parallel()
	w, listed, other := newFixture(t, "alice"), serve(t, nil), serve(t, nil)
	w.config.Renegotiate = []string{strings.ToUpper(listed.URL[:5]) + listed.URL[5:]}
	p := newTestProxy(t, false)
	for _, base := range []*http.Transport{nil, {Proxy: p.use}} {
		w.config.Base = base
		c := w.client()
		wantBody(t, as(t, "alice"), c, listed.URL, "alice")
		wantBody(t, as(t, "alice"), c, other.URL, "alice")
		for _, h := range w.takeEvents() {
			version, protocol := uint16(tls.VersionTLS13), "h2"
			if h.Origin == listed.URL {
				version, protocol = tls.VersionTLS12, ""
			}
			if h.Version != version || h.Protocol != protocol {
				t.Errorf("got %+v, want version %x and protocol %q", h, version, protocol)
			}
		}
	}
	if p.tunnels.Load() != 2 {
		t.Errorf("%d tunnels", p.tunnels.Load())
	}
}
