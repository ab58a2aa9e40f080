package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that is changed in a pending generation stops its signature and its commit.
func TestChangedPendingGenerationIsNeitherSignedNorPushed(t *testing.T) {
	t.Parallel()
	s := newFleetSite(t)
	name := filepath.Join(s.dir, "pending.zip")
	config := []string{"--store", s.store, "--config", filepath.Join(s.dir, "mtlsguard.yaml")}
	s.expect(0, append([]string{"push", filepath.Join(s.dir, "fleet"), "--out", name, "--sign", s.key}, config...)...)
	change(t, name, func(name string, data []byte) []byte {
		if name == pendingFiles+"policy.csv" {
			return bytes.Replace(data, []byte("GET"), []byte("PUT"), 1)
		}
		return data
	})
	for _, args := range [][]string{{"sign", name, "--key", s.key}, append([]string{"push", name}, config...)} {
		if out := s.expect(2, args...); !strings.Contains(out, "policy.csv: has other content than in the manifest") {
			t.Errorf("%s: got %s, want the changed policy.csv as an error", args, out)
		}
	}
	change(t, name, func(name string, data []byte) []byte {
		if name == pendingManifest {
			return bytes.Replace(data, []byte(`"author": "`), []byte(`"author": "x`), 1)
		}
		return data
	})
	if out := s.expect(2, append([]string{"push", name}, config...)...); !strings.Contains(out, "no signature of the manifest is by a trusted signer") && !strings.Contains(out, "has other content") {
		t.Error(out)
	}
	s.expect(1, "log", "--store", s.store)
}

// change changes the files of an archive.
func change(t *testing.T, name string, f func(name string, data []byte) []byte) {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, entry := range z.File {
		r, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		to, err := w.Create(entry.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(f(entry.Name, data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
