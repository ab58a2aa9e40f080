package guardspiffe_test

import (
	"os"
	"strings"
	"testing"
)

// The page's lines are those of the examples and of the tests' configuration.
func TestPageShowsTheExamples(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	code := read("example_test.go")
	_, page, _ := strings.Cut(read("../../docs/certificates.md"), "\n## SPIFFE Workload API\n")
	page, _, _ = strings.Cut(page, "\n## ")
	lines := 0
	for i, block := range strings.Split(page, "```") {
		kind, text, _ := strings.Cut(block, "\n")
		if i%2 == 0 {
			continue
		}
		from := map[string]string{"go": code, "yml": configuration}[kind]
		for line := range strings.Lines(text) {
			lines++
			if line = strings.TrimSpace(line); !strings.Contains(from, line) {
				t.Errorf("no example has the line %s", line)
			}
		}
	}
	if lines < 25 {
		t.Errorf("only %d lines were compared", lines)
	}
}
