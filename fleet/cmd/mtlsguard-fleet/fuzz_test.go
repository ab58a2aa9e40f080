package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/source"
)

// No file of a store makes diff fail, and no item is the same as itself.
func FuzzItems(f *testing.F) {
	f.Add("users.yaml", []byte(fleetUsers))
	f.Add("users.jsonl", []byte(`{"id": "a", "user": "a", "dns": "a"}`))
	f.Add("policy.csv", []byte(fleetPolicy))
	f.Add("ca.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		items := itemsOf(name, data)
		if d := diffItems(items, items); d != nil {
			t.Errorf("%q differs from itself: %v", data, d)
		}
		if d := diffItems(nil, items); len(d) != len(items) {
			t.Errorf("%q: %d items, %d added", data, len(items), len(d))
		}
	})
}

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
		if m, err := source.ParseManifest(g.Raw); err != nil || m.Number != g.Manifest.Number {
			t.Errorf("%v", err)
		}
		for _, file := range g.Manifest.Files {
			if content, err := g.ReadFile(t.Context(), file); err == nil && source.DigestOf(content) != file.SHA256 || bytes.Contains(content, []byte("PRIVATE KEY")) {
				t.Errorf("%s is not what the manifest says", file.Name)
			}
		}
	})
}
