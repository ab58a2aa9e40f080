package source_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

func TestFolderIsPruned(t *testing.T) {
	t.Parallel()
	sourcetest.RunPrune(t, func(t *testing.T) source.Store { return source.Folder(t.TempDir()) }, func(ctx context.Context, s source.Store, keep int, younger, grace time.Duration) (int, error) {
		return s.(source.FolderStore).Prune(ctx, source.Retention{Keep: keep, Younger: younger, Grace: grace})
	})
}

// Files that no generation names are kept for an hour, and those that a commit uses again for an hour more: a
// commit that has not ended may need them. Old reports go.
func TestPruneOfAFolderKeepsYoungFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store := source.Folder(folder)
	first := nextAt(nil, "users.yaml", "1")
	second := nextAt(first, "users.yaml", "2")
	for _, g := range []*source.Generation{first, second} {
		if err := store.Commit(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range []string{"here", "gone"} {
		if err := store.PutReport(t.Context(), source.Report{Node: node, Number: 2}); err != nil {
			t.Fatal(err)
		}
	}
	prune := func(blobs int) {
		t.Helper()
		if _, err := store.Prune(t.Context(), source.Retention{}); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadDir(filepath.Join(folder, "blob")); len(got) != blobs {
			t.Errorf("%d files are left, want %d", len(got), blobs)
		}
	}
	age := func(name string, by time.Duration) {
		t.Helper()
		then := time.Now().Add(-by)
		if err := os.Chtimes(filepath.Join(folder, name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	prune(2)
	blob := "blob/" + first.Manifest.Files[0].SHA256.String()
	age(blob, 2*time.Hour)
	if err := source.Folder(folder).Commit(t.Context(), nextAt(second, "users.yaml", "1")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "gen", "000003")); err != nil { // as if the commit had not ended
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "head")); err != nil {
		t.Fatal(err)
	}
	if g, err := store.Load(t.Context(), nil); err != nil || !g.Same(second) {
		t.Errorf("without head and number 1 the newest is %v, %v", g, err)
	}
	prune(2)
	age(blob, 2*time.Hour)
	age("node/"+source.DigestOf([]byte("gone")).String(), 8*24*time.Hour)
	prune(1)
	if all, err := store.Reports(t.Context()); err != nil || len(all) != 1 || all[0].Node != "here" {
		t.Errorf("reports: %v, %v", all, err)
	}
}

// A file that Prune has moved away, and puts back, does not replace one that a commit has written meanwhile.
func TestPruneReplacesNoFileOfACommit(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	name, away := filepath.Join(folder, "blob"), filepath.Join(folder, "away")
	for _, want := range []string{"damaged", "fresh"} {
		if want == "fresh" {
			if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(away, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := source.PutBack(away, name); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("the file has %q, %v, want %q", got, err, want)
		}
		if want == "damaged" {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}
