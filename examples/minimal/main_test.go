package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

func TestMain(m *testing.M) { testkit.Main(m, main) }

// The program in the README is main.go, without its comment.
func TestREADMEHasThisProgram(t *testing.T) {
	t.Parallel()
	program := read(t, "main.go")
	readme := read(t, filepath.Join("..", "..", "README.md"))
	_, program, _ = strings.Cut(program, "\npackage main\n")
	if !strings.Contains(readme, "```go\npackage main\n"+program+"```\n") {
		t.Error("README.md and examples/minimal/main.go differ")
	}
}

// The program serves a user, refuses an unmapped certificate, and ends with status 0 on
// SIGTERM.
func TestProgramServesAndEndsOnSIGTERM(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"server.pem", "server-key.pem", "client-ca.pem"} {
		write(t, filepath.Join(dir, name), pkiFile(t, name))
	}
	addr := freeAddr(t)
	write(t, filepath.Join(dir, "mtlsguard.yaml"), []byte(`users: users.yaml
policy: policy.csv
ports:
  - name: internal
    listen: `+addr+`
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
`))
	write(t, filepath.Join(dir, "users.yaml"), []byte(`mappings:
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem}
`))
	write(t, filepath.Join(dir, "policy.csv"), []byte("p, group:Authenticated, *, GET, /*, allow\n"))

	cmd := testkit.Command(t)
	cmd.Dir = dir
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	ended := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(log)
		ended <- string(text)
	}()

	for as, want := range map[string]string{"alice": "200 hello alice\n", "stranger": "403"} {
		if got := get(t, as, "https://"+addr+"/orders/7"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", as, got, want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case text := <-ended:
		if err := cmd.Wait(); err != nil || !strings.Contains(text, `"event":"drain"`) {
			t.Errorf("%v\n%s", err, text)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the program does not end on SIGTERM")
	}
}

// get returns status and body. It repeats the request until the program listens.
func get(t *testing.T, as, url string) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pkiFile(t, "server-ca.pem"))
	pair, err := tls.X509KeyPair(pkiFile(t, as+".pem"), pkiFile(t, as+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := client.Get(url)
		if err != nil {
			if time.Now().After(end) {
				t.Fatal(err)
			}
			continue
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.Status[:3] + " " + string(body)
	}
}

// freeAddr returns a loopback address that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func pkiFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := pki.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
