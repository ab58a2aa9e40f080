//go:build linux

package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// serve takes a socket of systemd, and reads the files at SIGHUP: a good policy takes effect, and
// with a bad one the former stays. SIGTERM ends it with status 0.
// Covers N5, I1.
func TestServeProcess(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s", r.URL.Path, r.Header.Get("X-Mtlsguard-User"))
	}))
	defer service.Close()
	dir := t.TempDir()
	if err := writeSite(dir); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("mtlsguard.yaml", fmt.Sprintf(`users: users.yaml
policy: policy.csv
reload: 0
ports:
  - name: internal
    listen: systemd:internal
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
    upstream: {url: %q}
`, service.URL))
	put("users.yaml", "mappings:\n  - {id: staff, user: \"{user}\", subject: \"CN={user},OU=Staff,O=Acme\", issuer: client-ca.pem}\n")
	put("policy.csv", "p, user:alice, *, GET, /orders/*, allow\n")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := listener.(*net.TCPListener).File()
	listener.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	// The process id is known to the shell alone, before it becomes the server.
	cmd := exec.Command(testkit.Program(t, "sh", "dash"), "-c", `LISTEN_PID=$$ exec "$0" "$@"`, "mtlsguard", "serve", "--config", "mtlsguard.yaml")
	cmd.Dir, cmd.Env, cmd.ExtraFiles = dir, append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=internal"), []*os.File{socket}
	var log testkit.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // an error: it has ended
		_ = cmd.Wait()
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q %v\n%s", line, err, log.String())
	}

	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "alice.pem"), filepath.Join(dir, "alice-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(read(t, filepath.Join(dir, "server-ca.pem"))))
	client := &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{pair}}}}
	defer client.CloseIdleConnections()
	ask := func() string {
		res, err := client.Get("https://" + listener.Addr().String() + "/orders/7")
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return fmt.Sprint(res.StatusCode, " ", string(body))
	}
	signal := func(s os.Signal) {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	const allowed, failed = "200 /orders/7 for alice", `"event":"reload","outcome":"failed"`
	if got := ask(); got != allowed {
		t.Fatal(got)
	}
	put("policy.csv", "p, user:alice, *, GET, /orders/*, deny\n")
	signal(syscall.SIGHUP)
	testkit.Eventually(t, "the policy refuses", func() bool { return strings.HasPrefix(ask(), "403 ") })
	put("policy.csv", "p, user:alice, *, GET, /orders/*, alow\n")
	signal(syscall.SIGHUP)
	testkit.Eventually(t, "the reload fails", func() bool { return strings.Contains(log.String(), failed) })
	if got := ask(); !strings.HasPrefix(got, "403 ") || !strings.Contains(log.String(), "policy.csv:1") {
		t.Errorf("with a bad policy: %s\n%s", got, log.String())
	}
	put("policy.csv", "p, user:alice, *, GET, /orders/*, allow\n")
	signal(syscall.SIGHUP)
	testkit.Eventually(t, "the policy allows", func() bool { return ask() == allowed })
	signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
}
