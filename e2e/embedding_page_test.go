package e2e

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// slowRoute begins its answer at once, and ends it later.
const slowRoute = `
func init() {
	http.HandleFunc("/whoami", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		time.Sleep(300 * time.Millisecond)
		w.Write([]byte("the whole answer"))
	})
}
`

// The first program of docs/embedding.md, as it stands there, finishes the request under way when
// it gets SIGTERM, and ends with status 0.
func TestProgramOfThePageFinishesRequests(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/embedding.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(page), "```go\n")
	program, _, found := strings.Cut(program, "```\n")
	if !found {
		t.Fatal("the page has no program")
	}
	s := newSite(t)
	s.put("main.go", program+slowRoute)
	if err := build(s.path("program"), s.path("main.go")); err != nil {
		t.Fatal(err)
	}
	address := testkit.FreeAddress(t)
	s.sub(config, "listen: 127.0.0.1:0", "listen: "+address)
	s.sub(config, "limits: {handshake: 5s, drain: 1s}", "limits: {handshake: 5s}")
	var log lines
	cmd := exec.Command(filepath.Join(s.dir, "program"))
	cmd.Dir, cmd.Stderr = s.dir, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	alice := s.client(s.alice)
	testkit.Eventually(t, "an answer", func() bool {
		res, err := alice.Get("https://" + address + "/whoami")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "the whole answer" {
			t.Errorf("the request under way got %q, %v", body, err)
		}
		return true
	})
	if err := cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v\n%s", err, log.text())
	}
}
