package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The embedded files are exactly those that pki.yaml defines.
func TestCurrent(t *testing.T) {
	dir := ".."
	files, err := build(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from pki.yaml (%v): run go generate ./testdata/pki", name, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if !slices.Contains([]string{".pem", ".crl", ".der"}, filepath.Ext(name)) {
			continue
		}
		if files[name] == nil {
			t.Errorf("%s is not in pki.yaml: remove it", name)
		}
	}
}
