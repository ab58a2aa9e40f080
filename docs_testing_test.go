package mtlsguard_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tests of docs/testing.md pass, and its other lines of Go are those of the examples.
func TestDocsTesting(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	d.write(t, "policy.csv", "p, user:alice, *, GET, /orders/*, allow\np, user:alice, *, DELETE, /orders/*, deny\n")
	var files []string
	examples := ""
	for _, name := range []string{"minimal", "shutdown"} {
		examples += contentOf(t, filepath.Join("examples", name, "main_test.go"))
	}
	for _, b := range blocks(t, "docs/testing.md") {
		switch {
		case b.kind == "go" && strings.HasPrefix(b.text, "package "):
			name := fmt.Sprintf("block%d_test.go", b.line)
			d.write(t, name, b.text)
			files = append(files, d.path(name))
		case b.kind == "go":
			for line := range strings.Lines(b.text) {
				line, _, _ = strings.Cut(line, " //")
				if !strings.Contains(examples, strings.TrimSpace(line)) {
					t.Errorf("%s:%d: no example has %s", b.page, b.line, line)
				}
			}
		}
	}
	if len(files) != 3 {
		t.Errorf("%d files, want 3", len(files))
	}
	if out, err := exec.Command("go", append([]string{"test"}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// contentOf returns the content of a file.
func contentOf(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
