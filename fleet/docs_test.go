// Package fleet_test runs the commands of docs/fleet.md.
package fleet_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// commands returns the commands of the blocks "console" of a section of docs/fleet.md, and what they print.
func commands(t *testing.T, section string) (script, output string) {
	t.Helper()
	page, err := os.ReadFile("../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("docs/fleet.md has no section %s", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var commands, printed strings.Builder
	for i, block := range strings.Split(text, "```") {
		block, ok := strings.CutPrefix(block, "console\n")
		if i%2 == 0 || !ok {
			continue
		}
		document := false // in a here-document
		for line := range strings.Lines(block) {
			command, isCommand := strings.CutPrefix(line, "$ ")
			switch {
			case document:
				commands.WriteString(line)
				document = line != "EOF\n"
			case isCommand:
				commands.WriteString(command)
				document = strings.Contains(line, "<<")
			default:
				printed.WriteString(line)
			}
		}
	}
	return commands.String(), printed.String()
}

// The commands of the section about a folder and a web server print what it says.
func TestDocumentedFolder(t *testing.T) {
	t.Parallel()
	for _, p := range [][2]string{{"curl", "curl"}, {"nginx", "nginx-light"}} {
		testkit.Program(t, p[0], p[1])
	}
	script, want := commands(t, "A folder and a web server")
	checkout, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	script = strings.NewReplacer("CHECKOUT", checkout, "sleep 2", "sleep 4").Replace(script)
	for _, documented := range []string{"127.0.0.1:8440", "127.0.0.1:8441"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		script = strings.ReplaceAll(script, documented, l.Addr().String())
		_ = l.Close()
	}
	dir, err := os.MkdirTemp("", "fleet") // that nginx, as another user, can read
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	bash := exec.Command("bash", "-eu", "-c", "trap 'kill $(jobs -p) 2>&-; wait' EXIT\n"+script) // it ends its children
	bash.Dir = dir
	bash.Env = append(os.Environ(), "GOWORK=off", "PATH="+os.Getenv("PATH")+":/usr/sbin")
	var out, stderr strings.Builder
	bash.Stdout, bash.Stderr = &out, &stderr
	if err := bash.Run(); err != nil || out.String() != want {
		log, _ := os.ReadFile(filepath.Join(dir, "node/log"))
		t.Errorf("%v\n%s\n%s\nthe output is\n%s\nwant\n%s", err, stderr.String(), log, out.String(), want)
	}
}
