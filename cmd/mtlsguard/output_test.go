package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// full is a disk with space for some bytes.
type full struct{ space int }

var errFull = errors.New("no space left on device")

func (f *full) Write(b []byte) (int, error) {
	if len(b) > f.space {
		n := f.space
		f.space = 0
		return n, errFull
	}
	f.space -= len(b)
	return len(b), nil
}

// Every command exits with 2 if its result cannot be written, wherever the disk is full.
func TestResultThatCannotBeWrittenIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := writeSite(dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	put(t, "expected.txt", "alice internal GET /orders/7 allow\n")
	put(t, "partners.csv", "user,certificate\nalice,alice.pem\n")
	for _, line := range []string{
		"--help", "--version", "--json --version", "explain --help",
		"explain --config mtlsguard.yaml --cert alice.pem --port internal GET /orders/7",
		"explain --json --config mtlsguard.yaml --cert bob.pem --port internal GET /orders/7",
		"check 127.0.0.1:1", "check --json 127.0.0.1:1",
		"inspect alice.pem", "inspect --json alice.pem", "inspect 127.0.0.1:1",
		"lint --config mtlsguard.yaml", "lint --json --config mtlsguard.yaml",
		"users list --config mtlsguard.yaml", "users list --json --config mtlsguard.yaml",
		"users add --config mtlsguard.yaml --cert stranger.pem --user x --dry-run",
		"users remove --config mtlsguard.yaml carol --dry-run",
		"policy test expected.txt --config mtlsguard.yaml", "policy test --json expected.txt --config mtlsguard.yaml",
		"keys import alice.pem --mappings", "keys import --json alice.pem --mappings",
		"import csv partners.csv --out imported", "import --json csv partners.csv --out imported-json",
		"completion bash", "completion --json zsh", "demo --files try",
	} {
		var whole bytes.Buffer
		run(t.Context(), strings.Fields(line), strings.NewReader(""), &whole, &bytes.Buffer{})
		if whole.Len() == 0 {
			t.Errorf("%s: no output", line)
		}
		for _, space := range []int{0, whole.Len() / 2, whole.Len() - 1} {
			args := strings.Fields(line)
			switch args[0] {
			case "demo":
				args[2] = t.TempDir()
			case "import":
				args[len(args)-1] = t.TempDir()
			}
			var errs bytes.Buffer
			if code := run(t.Context(), args, strings.NewReader(""), &full{space}, &errs); code != exitInvalid {
				t.Errorf("%s, %d bytes: status %d, want %d", line, space, code, exitInvalid)
			}
			if text := errs.String(); strings.Count(text, "error: ") != 1 || !strings.Contains(text, errFull.Error()) || !strings.Contains(text, "\nhint: ") {
				t.Errorf("%s, %d bytes: %s", line, space, text)
			}
		}
	}
	var errs bytes.Buffer
	code := run(t.Context(), strings.Fields("users add --config mtlsguard.yaml --cert stranger.pem --user x"), strings.NewReader(""), &full{}, &errs)
	if code != exitInvalid || !strings.Contains(errs.String(), "users.yaml has been changed") || !strings.Contains(read(t, "users.yaml"), "id: x,") {
		t.Errorf("status %d: %s", code, errs.String())
	}
}
