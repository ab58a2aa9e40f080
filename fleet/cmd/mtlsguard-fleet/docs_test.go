package main

import (
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

// documented are the sections of docs/fleet.md whose commands follow one another in one folder.
var documented = []string{"In five minutes", "Change something", "See what changed, and go back", "Signatures", "A new node"}

// The commands of docs/fleet.md print what it says, times, ages and names of users apart.
func TestTheDocumentedCommandsWork(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "curl", "curl")
	script, want := documentedScript(t)
	checkout, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	script = strings.ReplaceAll(script, "CHECKOUT", checkout)
	ports := "PORT=(0"
	for n := 1; n <= 3; n++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		script = strings.ReplaceAll(script, fmt.Sprintf("127.0.0.1:844%d", n), "127.0.0.1:"+port)
		ports += " " + port
		l.Close()
	}
	script = ports + ")\n" + strings.ReplaceAll(script, "844$n", "${PORT[$n]}")
	// bash ends its children with it.
	c := exec.Command("bash", "-eu", "-o", "pipefail", "-c", "trap 'kill $(jobs -p); wait' EXIT\n"+script)
	c.Dir = t.TempDir()
	c.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MTLSGUARD_") }), "GOWORK=off")
	var out, stderr strings.Builder
	c.Stdout, c.Stderr = &out, &stderr
	err = c.Run()
	got, expected := normal(out.String()), normal(want)
	if err != nil || got != expected {
		t.Errorf("%v\n%s\nthe output is\n%s\nwant\n%s", err, stderr.String(), got, expected)
	}
}

var (
	times  = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	ages   = regexp.MustCompile(`\d+s ago`)
	blanks = regexp.MustCompile(` +`)
)

// normal replaces what is different each time.
func normal(text string) string {
	text = strings.ReplaceAll(text, " "+author()+" ", " anna ")
	text = strings.ReplaceAll(text, "by "+author()+":", "by anna:")
	return blanks.ReplaceAllString(ages.ReplaceAllString(times.ReplaceAllString(text, "TIME"), "AGE"), " ")
}

// documentedScript returns the commands of the sections, and what they print.
func documentedScript(t *testing.T) (script, want string) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	here := "" // the end of a here-document
	for _, title := range documented {
		_, section, ok := strings.Cut(string(page), "\n## "+title+"\n")
		if !ok {
			t.Fatalf("docs/fleet.md has no section %q", title)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for i, block := range strings.Split(section, "```") {
			kind, lines, _ := strings.Cut(block, "\n")
			if i%2 == 0 || kind != "console" {
				continue
			}
			for line := range strings.Lines(lines) {
				command, isCommand := strings.CutPrefix(line, "$ ")
				switch {
				case here != "":
					script += line
					if strings.TrimSpace(line) == here {
						here = ""
					}
				case isCommand:
					script += command
				case inLoop(script):
					script += line
				default:
					want += line
				}
				if isCommand && strings.Contains(line, "<<'EOF'") {
					here = "EOF"
				}
			}
		}
	}
	return script, want
}

// inLoop reports whether a script ends within a loop.
func inLoop(script string) bool {
	return strings.Count(script, "; do\n") > strings.Count(script, "  done\n")
}
