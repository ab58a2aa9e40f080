package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
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
	folder, address := t.TempDir(), testkit.FreeAddress(t)
	pki := mtlsguardtest.NewPKI(t)
	pki.WriteFiles(folder)
	for name, content := range map[string]string{
		"policy.csv": "p, group:Authenticated, *, GET, /*, allow\n",
		"mtlsguard.yaml": `users: users.yaml
policy: policy.csv
ports:
  - name: internal
    listen: ` + address + `
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
`} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	cmd := testkit.Command(t)
	cmd.Dir, cmd.Stderr = folder, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	testkit.Eventually(t, "the program listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	for client, want := range map[*http.Client]string{pki.Client("alice"): "200 hello alice\n", pki.Stranger(): "403"} {
		res, err := client.Get("https://" + address + "/orders/7")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if got := res.Status[:3] + " " + string(body); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q, %v", got, want, err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), `"event":"drain"`) {
		t.Errorf("%v\n%s", err, &log)
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
