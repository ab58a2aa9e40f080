package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// section returns the blocks of the section etcd of docs/fleet.md that are of a kind.
func section(t *testing.T, kind string) []string {
	t.Helper()
	_, text, ok := strings.Cut(string(read(t, "../../../docs/fleet.md")), "\n## etcd\n")
	if !ok {
		t.Fatal("docs/fleet.md has no section etcd")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var blocks []string
	for i, block := range strings.Split(text, "```") {
		if first, rest, _ := strings.Cut(block, "\n"); i%2 == 1 && first == kind {
			blocks = append(blocks, rest)
		}
	}
	return blocks
}

// The commands of docs/fleet.md print what it says.
func TestTheDocumentedCommandsWork(t *testing.T) {
	t.Parallel()
	curl, openssl := testkit.Program(t, "curl", "curl"), testkit.Program(t, "openssl", "openssl")
	if curl == "" || openssl == "" {
		t.Fatal("Program returns no path")
	}
	e := newEngine(t)
	blocks := section(t, "console")
	if len(blocks) != 4 || !strings.Contains(blocks[0], "etcd --data-dir") {
		t.Fatal("the blocks are others: the first one starts the server, which the test does itself")
	}
	var script, want strings.Builder
	command := ""
	end := func() {
		if command != "" {
			script.WriteString(command)
		}
		command = ""
	}
	here := "" // the end of a here-document
	for line := range strings.Lines(blocks[1] + blocks[2]) {
		switch after, isCommand := strings.CutPrefix(line, "$ "); {
		case here != "":
			command += line
			if strings.TrimSpace(line) == here {
				here = ""
			}
		case isCommand:
			end()
			command = after
		case strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "  done"):
			command += line
		default:
			want.WriteString(line)
		}
		if strings.Contains(line, "<<") {
			here = "EOF"
		}
	}
	end()
	checkout, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("CHECKOUT", checkout, "sleep 1 ", "sleep 3 ", "./push", "./push -etcd "+e.client.String(), "./node ", "./node -etcd "+e.client.String()+" ").Replace(script.String())
	ports := "PORT=(0"
	for n := 1; n <= 3; n++ {
		_, port, _ := net.SplitHostPort(freeAddress(t))
		text = strings.ReplaceAll(text, fmt.Sprintf("127.0.0.1:844%d", n), "127.0.0.1:"+port)
		ports += " " + port
	}
	text = ports + ")\n" + strings.ReplaceAll(text, "127.0.0.1:844$n", "127.0.0.1:${PORT[$n]}")
	// bash ends its children with it.
	c := exec.Command("bash", "-eu", "-c", "trap 'kill $(jobs -p); wait' EXIT\n"+text)
	c.Dir = t.TempDir()
	c.Env = append(os.Environ(), "GOWORK=off")
	var out, stderr strings.Builder
	c.Stdout, c.Stderr = &out, &stderr
	if err := c.Run(); err != nil || out.String() != want.String() {
		t.Errorf("%v\n%s\nthe output is\n%s\nwant\n%s", err, stderr.String(), out.String(), want.String())
	}
}
