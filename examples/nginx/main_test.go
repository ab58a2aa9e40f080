package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
)

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("config", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// replace replaces a text that a test cannot use, such as an address.
func replace(t *testing.T, text, old, replacement string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the configuration has no %q", old)
	}
	return strings.Replace(text, old, replacement, 1)
}

func newService(t *testing.T) *mtlsguardtest.Server {
	t.Helper()
	return mtlsguardtest.NewServer(t, http.HandlerFunc(orders),
		mtlsguardtest.WithConfig(read(t, "mtlsguard.yaml")), // its port listens on another address in tests
		mtlsguardtest.WithFile("users.yaml", read(t, "users.yaml")),
		mtlsguardtest.WithPolicy(read(t, "policy.csv")))
}

// startNginx starts nginx in front of the service. It returns an option for clients that call it.
func startNginx(t *testing.T, service *mtlsguardtest.Server) mtlsguardtest.ClientOption {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx") // a user's PATH lacks it
	}
	switch {
	case err != nil && os.Getenv("MTLSGUARD_REQUIRE_ALL") == "1":
		t.Fatal("nginx is not installed; the Debian package is nginx-light")
	case err != nil:
		t.Skip("nginx is not installed; the Debian package is nginx-light")
	}
	folder := t.TempDir()
	socket := filepath.Join(folder, "socket") // another program cannot take it first, as it could a TCP port
	service.WriteFiles(folder)
	conf := replace(t, read(t, "nginx.conf"), "127.0.0.1:9443", "unix:"+socket)
	conf = replace(t, conf, "https://127.0.0.1:8443", service.URL)
	if os.Geteuid() == 0 {
		conf = "user root;\n" + conf // its workers write into the folder
	}
	if err := os.WriteFile(filepath.Join(folder, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "-p", folder, "-c", "nginx.conf", "-e", "stderr")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &logged, &logged, 5*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { <-ended })
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	for {
		if c, err := dial(t.Context(), "", ""); err == nil {
			c.Close()
			return mtlsguardtest.WithTransport(func(t *http.Transport) { t.DialContext = dial })
		}
		select {
		case <-ended:
			t.Fatalf("nginx ended: %s", &logged)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// get returns the status and the body of an answer.
func get(c *http.Client, url string, header ...string) string {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err.Error()
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		return "no answer"
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return res.Status[:3] + " " + string(body)
}

// Clients call nginx, and the service knows each of them by the certificate that nginx forwards.
func TestClientsOfNginxAreKnown(t *testing.T) {
	t.Parallel()
	service := newService(t)
	nginx := startNginx(t, service)
	const url = "https://localhost/orders/7"
	for _, row := range []struct {
		name   string
		client *http.Client
		want   string
	}{
		{"alice", service.Client("alice", nginx), "200 alice reads /orders/7, via forwarded\n"},
		{"bob", service.Client("bob", nginx), `"reason":"no-rule"`},
		{"stranger", service.Stranger(nginx), `"reason":"unmapped"`},
		{"anonymous", service.Anonymous(nginx), `"reason":"no-certificate"`},
		{"revoked", service.Revoked(nginx), `"reason":"revoked"`}, // nginx has no CRL; the service has one
		{"expired", service.Expired(nginx), "400 "},               // nginx refuses it
		{"untrusted", service.Untrusted(nginx), "400 "},
	} {
		if got := get(row.client, url); !strings.Contains(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	// A client that sends nginx's headers itself does not become another user.
	if got := get(service.Client("bob", nginx), url, "X-SSL-Client-Cert", "alice", "X-SSL-Client-Verify", "SUCCESS"); !strings.Contains(got, `"reason":"no-rule"`) {
		t.Errorf("forged: %q", got)
	}
}

// The service alone: the clients play nginx, which is not needed for such a test.
func TestServiceWithoutNginx(t *testing.T) {
	t.Parallel()
	service := newService(t)
	nginx := mtlsguardtest.ThroughGateway(forwarded.Nginx("", "X-SSL-Client-Verify"))
	for _, row := range []struct {
		name   string
		client *http.Client
		want   string
	}{
		{"alice", service.Client("alice", nginx), "200 alice reads /orders/7, via forwarded\n"},
		{"bob", service.Client("bob", nginx), `"reason":"no-rule"`},
		{"stranger", service.Stranger(nginx), `"reason":"unmapped"`},
		{"anonymous", service.Anonymous(nginx), `"reason":"no-certificate"`},
		{"revoked", service.Revoked(nginx), `"reason":"revoked"`},
		{"expired", service.Expired(nginx), `"reason":"expired"`},
		{"untrusted", service.Untrusted(nginx), `"reason":"unknown-authority"`},
	} {
		if got := get(row.client, service.URL+"/orders/7"); !strings.Contains(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

// A client that calls the service past nginx is refused, with any headers.
func TestClientsPastNginxAreRefused(t *testing.T) {
	t.Parallel()
	service := newService(t)
	for name, client := range map[string]*http.Client{"alice": service.Client("alice"), "anonymous": service.Anonymous()} {
		if got := get(client, service.URL+"/orders/7", "X-SSL-Client-Verify", "SUCCESS"); got != "no answer" {
			t.Errorf("%s: %q, want %q", name, got, "no answer")
		}
	}
}
