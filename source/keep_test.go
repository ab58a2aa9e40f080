package source_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
)

var background = context.Background()

// nextAt returns a generation after parent with a fixed time.
func nextAt(parent *source.Generation, pairs ...string) *source.Generation {
	files := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	g, err := source.Next(parent, source.Manifest{Fleet: "orders", Author: "anna", At: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}, files)
	if err != nil {
		panic(err)
	}
	return g
}

// numbers returns the numbers of kept generations.
func numbers(tb testing.TB, k *source.Keep) (out []uint64) {
	tb.Helper()
	all, err := k.Generations()
	if err != nil {
		tb.Error(err)
	}
	for _, g := range all {
		out = append(out, g.Manifest.Number)
	}
	return out
}

// Five generations are kept, the current one first, and old blobs go after a while.
func TestKeepHoldsFiveGenerations(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "a", "keep")
	k := source.OpenKeep(folder)
	if got := numbers(t, k); got != nil {
		t.Errorf("an empty folder holds %v", got)
	}
	_, key := signer(t)
	var g *source.Generation
	old := time.Now().Add(-2 * time.Hour)
	for n := range 7 {
		g = nextAt(g, "users.yaml", strings.Repeat("x", n), "same", "same")
		signed, err := g.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := keepAgain(folder, signed); err != nil {
			t.Fatal(err)
		}
		blobs, err := filepath.Glob(filepath.Join(folder, "blobs", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blobs {
			if err := os.Chtimes(b, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := numbers(t, k); !slices.Equal(got, []uint64{7, 6, 5, 4, 3}) {
		t.Errorf("kept: %v", got)
	}
	if err := keepAgain(folder, g); err != nil { // again without the signature: sweeps what is old by now
		t.Fatal(err)
	}
	if blobs, _ := os.ReadDir(filepath.Join(folder, "blobs")); len(blobs) != 6 {
		t.Errorf("%d blobs, want those of five generations", len(blobs))
	}
	all, err := k.Generations()
	if err != nil || !all[0].Same(g) {
		t.Errorf("the current generation has other signatures: %v", err)
	}
}

// A damaged blob is an error when it is read, and is written again.
func TestDamagedBlobIsWrittenAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	g := nextAt(nil, "users.yaml", "abc")
	if err := keepAgain(folder, g); err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(folder, "blobs", oneDigest)
	if err := os.WriteFile(blob, []byte("abd"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func() error {
		all, err := source.OpenKeep(folder).Generations()
		if err != nil {
			t.Fatal(err)
		}
		_, err = all[0].Fetch(t.Context())
		return err
	}
	if err := read(); err == nil || !strings.Contains(err.Error(), "other content") {
		t.Errorf("a damaged blob: %v", err)
	}
	if err := keepAgain(folder, g); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Errorf("written again: %v", err)
	}
}

// A damaged manifest is reported, and the other generations are there.
func TestDamagedManifestIsReported(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first := nextAt(nil, "users.yaml", "1")
	for _, g := range []*source.Generation{first, nextAt(first, "users.yaml", "2")} {
		if err := keepAgain(folder, g); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "gen", "000002", "MANIFEST"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := source.OpenKeep(folder).Generations()
	if err == nil || !strings.Contains(err.Error(), "000002") || len(all) != 1 || all[0].Manifest.Number != 1 {
		t.Errorf("%d generations, %v", len(all), err)
	}
}

// Reading from a source that stops in the middle of a file ends with an error that names the cause.
func TestStalledSourceIsGivenUp(t *testing.T) {
	g := nextAt(nil, "users.yaml", "abc")
	source.SetStallTimeout(50 * time.Millisecond)
	defer source.SetStallTimeout(30 * time.Second)
	stalled, err := source.New(g.Raw, nil, func(ctx context.Context, _ source.File) (io.ReadCloser, error) {
		first := true
		return io.NopCloser(readerFunc(func(p []byte) (int, error) {
			if first {
				first = false
				return copy(p, "a"), nil
			}
			<-ctx.Done()
			return 0, ctx.Err()
		})), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	k := source.OpenKeep(t.TempDir())
	if _, err := k.Add(t.Context(), stalled); err == nil || !strings.Contains(err.Error(), "users.yaml of generation 1: nothing came for 50ms") {
		t.Error(err)
	}
	source.SetStallTimeout(30 * time.Second)
	if _, err := k.Add(t.Context(), g); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
