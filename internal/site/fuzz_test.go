package site

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
)

// For any bytes in mtlsguard.yaml, and no other file, loading returns configuration errors
// with a hint each, and never panics.
func FuzzConfig(f *testing.F) {
	names, err := filepath.Glob("../../examples/*/config/*.yaml")
	if err != nil || len(names) == 0 {
		f.Fatal("no examples: ", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, seed := range []string{"", "- a", "a: &x [*x]\nports: *x", "ports: [{}, null, ~, [], 1]", "--- a\n--- b", "\tports:", "\xff\xfe"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := fstest.MapFS{"mtlsguard.yaml": {Data: data}}
		g, err := Load(t.Context(), "mtlsguard.yaml", fileset.New(fsys), nil, nil, Program{})
		if g != nil || err == nil {
			t.Fatal("loaded without the server's certificate") // there is no other file
		}
		for _, m := range configerror.All(err) {
			if m.File == "" || m.What == "" || m.Hint == "" {
				t.Errorf("incomplete: %#v", m)
			}
		}
	})
}
