package storetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// Section returns the blocks of a section of docs/fleet.md that are of a kind. The tests run three folders below that of the
// checkout.
func Section(t *testing.T, section, kind string) []string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## "+section+"\n")
	if !ok {
		t.Fatal("docs/fleet.md has no section " + section)
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

// Console tests that the commands of blocks of docs/fleet.md print what it says. flags are for the programs node and push.
func Console(t *testing.T, blocks, flags string) {
	curl, openssl := testkit.Program(t, "curl", "curl"), testkit.Program(t, "openssl", "openssl")
	if curl == "" || openssl == "" {
		t.Fatal("Program returns no path")
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
	for line := range strings.Lines(blocks) {
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
	text := strings.NewReplacer("CHECKOUT", checkout, "sleep 1 ", "sleep 3 ", "./push", "./push "+flags, "./node ", "./node "+flags+" ").Replace(script.String())
	ports := "PORT=(0"
	for n := 1; n <= 3; n++ {
		port := freePort(t)
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

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
