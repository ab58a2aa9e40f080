package storetest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// checkout returns the folder of the checkout.
func checkout(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "docs/fleet.md")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatalf("no folder above the test has docs/fleet.md: %v", err)
	return ""
}

// Section returns the blocks of a section of docs/fleet.md that are of a kind.
func Section(t *testing.T, section, kind string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(checkout(t), "docs/fleet.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("docs/fleet.md has no section %q", section)
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

// Console is the commands of blocks of docs/fleet.md.
type Console struct {
	Blocks  []string
	Replace []string                 // pairs of a text of the page and the test's
	Dir     string                   // of the commands; "" is a new one
	Env     []string                 // of the commands, beside that of the test without mtlsguard's
	Normal  func(text string) string // removes what differs in every run; nil removes nothing
}

// Run tests that the commands print what the page says.
func (c Console) Run(t *testing.T) {
	t.Helper()
	script, want := c.parse()
	script = strings.NewReplacer(append(c.Replace, "CHECKOUT", checkout(t))...).Replace(script)
	bash := exec.Command("bash", "-eu", "-o", "pipefail", "-c", "trap 'kill $(jobs -p) 2>&-; wait' EXIT\n"+withFreePorts(t, script)) // it ends its children
	if bash.Dir = c.Dir; c.Dir == "" {
		bash.Dir = t.TempDir()
	}
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MTLSGUARD_") })
	bash.Env = append(append(own, "GOWORK=off"), c.Env...)
	var stdout, stderr bytes.Buffer
	bash.Stdout, bash.Stderr = &stdout, &stderr
	err := bash.Run()
	got := stdout.String()
	if c.Normal != nil {
		got, want = c.Normal(got), c.Normal(want)
	}
	if err != nil || got != want {
		t.Errorf("%v\n%s\nthe output is\n%s\nwant\n%s", err, &stderr, got, want)
	}
}

// parse returns the commands, and what they print.
func (c Console) parse() (script, want string) {
	for _, block := range c.Blocks {
		document := false // in a here-document
		for line := range strings.Lines(block) {
			command, isCommand := strings.CutPrefix(line, "$ ")
			switch {
			case document:
				script += line
				document = line != "EOF\n"
			case isCommand, strings.Count(script, "; do\n") > strings.Count(script, "  done\n"): // in a loop
				script += command
				document = strings.Contains(line, "<<")
			default:
				want += line
			}
		}
	}
	return script, want
}

var documentedPort = regexp.MustCompile(`\b844\d\b`)

// withFreePorts returns a script with free ports in place of 8440 to 8449. In a loop over n, 844$n is the port
// of node n.
func withFreePorts(t *testing.T, script string) string {
	t.Helper()
	numbers := ""
	free := map[string]string{}
	for n := range 10 {
		_, port, _ := net.SplitHostPort(testkit.FreeAddress(t))
		free[fmt.Sprint("844", n)] = port
		numbers += " " + port
	}
	script = documentedPort.ReplaceAllStringFunc(script, func(port string) string { return free[port] })
	return "PORT=(" + numbers + ")\n" + strings.ReplaceAll(script, "844$n", "${PORT[$n]}")
}
