package source_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

func TestFolderIsAStore(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) source.Store { return source.Folder(t.TempDir()) })
}

// A generation under the number of another one is an error, and not a search without end.
// Covers S13.
func TestMisnamedGenerationIsAnError(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store := source.Folder(folder)
	if err := store.Commit(t.Context(), next(t, nil, "users.yaml", "one")); err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(folder, "gen", "000001")
	if err := os.Link(first, filepath.Join(folder, "gen", "000002")); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		_, err := store.Load(t.Context(), nil)
		result <- err
	}()
	select {
	case err := <-result:
		if err == nil || !strings.Contains(err.Error(), "000002 is generation 1") {
			t.Errorf("load: %v", err)
		}
	case <-time.After(testkit.Patience):
		t.Fatal("Load does not end")
	}
	if _, err := store.At(t.Context(), 2); err == nil || errors.Is(err, source.ErrNone) {
		t.Errorf("at: %v", err)
	}
}

// The folder of a store is not taken for a folder keep, whose owner replaces what it does not know.
// Covers S14.
func TestStoreIsNoKeep(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store := source.Folder(folder)
	if err := store.Commit(t.Context(), next(t, nil, "users.yaml", "one")); err != nil {
		t.Fatal(err)
	}
	g, err := store.Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	k := source.OpenKeep(folder)
	onDisk, err := k.Add(t.Context(), g)
	if err == nil {
		_ = k.SetCurrent(onDisk) // what a node would do
	} else if !strings.Contains(err.Error(), "is the folder of a store") {
		t.Error(err)
	}
	if _, err := store.At(t.Context(), 1); err != nil {
		t.Errorf("the generation is lost: %v", err)
	}
}
