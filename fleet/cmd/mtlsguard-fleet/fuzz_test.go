package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/source"
)

// A pending generation that opens has its manifest, and its files are those of the manifest or an error.
func FuzzPending(f *testing.F) {
	g, err := source.Next(nil, source.Manifest{Fleet: "orders", Author: "anna"}, fstest.MapFS{"policy.csv": {Data: []byte(fleetPolicy)}})
	if err != nil {
		f.Fatal(err)
	}
	name := filepath.Join(f.TempDir(), "pending.zip")
	if err := writePending(name, g); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(t.TempDir(), "pending.zip")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		g, end, err := openPending(name)
		if err != nil {
			return
		}
		defer end()
		if raw, err := source.New(g.Raw, nil, nil); err != nil || raw.Manifest.Number != g.Manifest.Number {
			t.Errorf("the manifest of the generation cannot be read again, or is another: %v", err)
		}
		for _, file := range g.Manifest.Files {
			if content, err := g.ReadFile(t.Context(), file); err == nil && source.DigestOf(content) != file.SHA256 || bytes.Contains(content, []byte("PRIVATE KEY")) {
				t.Errorf("%s is not what the manifest says", file.Name)
			}
		}
	})
}
