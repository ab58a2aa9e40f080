package postgres_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/store/postgres"
)

// blocks returns the blocks of a kind in the section PostgreSQL of docs/fleet.md.
func blocks(t *testing.T, kind string) (out []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## PostgreSQL\n")
	if !ok {
		t.Fatal("docs/fleet.md has no section PostgreSQL")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for i, block := range strings.Split(text, "```") {
		if block, ok := strings.CutPrefix(block, kind+"\n"); ok && i%2 == 1 {
			out = append(out, block)
		}
	}
	return out
}

// commands returns the commands of the page, and what they print.
func commands(t *testing.T) (script, output string) {
	t.Helper()
	var commands, printed strings.Builder
	for _, block := range blocks(t, "console") {
		document := false // in a here-document
		for line := range strings.Lines(block) {
			command, isCommand := strings.CutPrefix(line, "$ ")
			switch {
			case document:
				commands.WriteString(line)
				document = line != "EOF\n"
			case isCommand, strings.HasPrefix(line, "    "), line == "  done\n":
				commands.WriteString(command)
				document = strings.Contains(line, "<<")
			default:
				printed.WriteString(line)
			}
		}
	}
	return commands.String(), printed.String()
}

// The commands of docs/fleet.md print what it says.
func TestDocumentedCommandsWork(t *testing.T) {
	t.Parallel()
	for _, p := range [][2]string{{"curl", "curl"}, {"openssl", "openssl"}, {"psql", "postgresql-client"}} {
		testkit.Program(t, p[0], p[1])
	}
	c := postgres.OwnCluster(t)
	script, want := commands(t)
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	script = strings.NewReplacer("CHECKOUT", checkout, "sleep 1 ", "sleep 3 ").Replace(script)
	numbers := "PORT=(0"
	for n := 1; n <= 3; n++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		_ = l.Close()
		script = strings.ReplaceAll(script, fmt.Sprintf("127.0.0.1:844%d", n), "127.0.0.1:"+port)
		numbers += " " + port
	}
	script = "trap 'kill $(jobs -p); wait' EXIT\n" + numbers + ")\n" + strings.ReplaceAll(script, "127.0.0.1:844$n", "127.0.0.1:${PORT[$n]}")
	bash := exec.Command("bash", "-eu", "-c", script) // it ends its children
	bash.Dir = t.TempDir()
	bash.Env = append(os.Environ(), "GOWORK=off", "PGHOST=127.0.0.1", fmt.Sprint("PGPORT=", c.Port()), "PGUSER=postgres", "PGSSLMODE=disable")
	var out, stderr strings.Builder
	bash.Stdout, bash.Stderr = &out, &stderr
	if err := bash.Run(); err != nil || out.String() != want {
		t.Errorf("%v\n%s\nthe output is\n%s\nwant\n%s", err, stderr.String(), out.String(), want)
	}
}

// Each line of Go on the page is one of an example.
func TestDocumentedCodeIsThatOfTheExamples(t *testing.T) {
	t.Parallel()
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	all := blocks(t, "go")
	if len(all) != 2 {
		t.Errorf("there are %d blocks of Go, want 2", len(all))
	}
	for _, block := range all {
		for line := range strings.Lines(block) {
			if !strings.Contains(string(examples), "\t"+line) {
				t.Errorf("no example has the line %s", line)
			}
		}
	}
}
