package main

import (
	"os"
	"strings"
	"testing"
)

// The page's lines of Go and of policy are those of the example.
func TestPageShowsTheExample(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	code, policy := read("main.go"), read("config/policy.csv")
	lines := 0
	for i, block := range strings.Split(read("../../docs/grpc.md"), "```") {
		kind, text, _ := strings.Cut(block, "\n")
		if i%2 == 0 || kind != "go" && !strings.HasPrefix(text, "# The path of a call") {
			continue
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			lines++
			if !strings.Contains(code, line) && !strings.Contains(policy, line) {
				t.Errorf("the example has no line %s", line)
			}
		}
	}
	if lines < 12 {
		t.Errorf("only %d lines were compared", lines)
	}
}
