package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/fleet/storeflag"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

// racing is a store in which another editor commits in the last moment.
type racing struct {
	source.Store
	before func(*source.Generation) error // called at Commit
}

func (r racing) Commit(ctx context.Context, g *source.Generation) error {
	if err := r.before(g); err != nil {
		return err
	}
	return r.Store.Commit(ctx, g)
}

// forging is a store that shows another generation 1 than it has.
type forging struct {
	source.Store
	first *source.Generation
}

func (f forging) At(ctx context.Context, number uint64) (*source.Generation, error) {
	if number == 1 {
		return f.first, nil
	}
	return f.Store.At(ctx, number)
}

// stores are opened by the URL memory:NAME.
var stores sync.Map

func init() {
	storeflag.Openers["memory"] = func(_ context.Context, f *storeflag.Flags, _ string) (source.Store, func(), error) {
		s, _ := stores.Load(strings.TrimPrefix(f.Store, "memory:"))
		return s.(source.Store), func() {}, nil
	}
}

// Of two editors who commit in the same moment one wins, and the other sees both changes.
func TestTheSlowerEditorSeesBothChanges(t *testing.T) {
	t.Parallel()
	s := newFleetSite(t)
	memory := sourcetest.NewMemory("orders")
	stores.Store("race", memory)
	s.store = "memory:race"
	folder := filepath.Join(s.dir, "fleet")
	s.edit("push", folder)
	stores.Store("race", racing{memory, func(g *source.Generation) error {
		parent, err := memory.Load(t.Context(), nil)
		if err != nil || parent.Manifest.Number > 1 {
			return err
		}
		files, err := fleetedit.ContentsOf(t.Context(), parent)
		if err != nil {
			return err
		}
		files["policy.csv"] = []byte("p, group:Authenticated, *, GET, /faster, allow\n")
		fsys, err := files.FS()
		if err != nil {
			return err
		}
		other, err := source.Next(parent, source.Manifest{Author: "bert\x1b", Note: "faster"}, fsys)
		if err != nil {
			return err
		}
		key, err := readSigningKey(s.key)
		if err != nil {
			return err
		}
		if other, err = other.Sign(key); err != nil {
			return err
		}
		return memory.Commit(t.Context(), other)
	}})
	args := []string{"users", "add", "--cert", filepath.Join(s.dir, "carol.pem"), "--user", "carol", "--store", s.store, "--config", filepath.Join(s.dir, "mtlsguard.yaml"), "--sign", s.key}
	out := s.expect(1, args...)
	for _, want := range []string{"committed meanwhile: generation 2, ", `by bert\x1b: faster`, "+ p, group:Authenticated, *, GET, /faster, allow", `+ {"id": "carol"`, `error: generation 2 was committed by bert\x1b meanwhile`, "hint: nothing was merged: run the command again"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	s.expect(0, args...)
	g, err := memory.Load(t.Context(), nil)
	if err != nil || g.Manifest.Number != 3 {
		t.Errorf("got %+v, %v; want generation 3", g, err)
	}
}

// If the store fails during a commit, the error reports that the generation may be committed.
func TestUnknownOutcomeOfACommitIsReported(t *testing.T) {
	t.Parallel()
	s := newFleetSite(t)
	s.store = "memory:lost"
	stores.Store("lost", racing{sourcetest.NewMemory("orders"), func(*source.Generation) error { return errors.New("the line is cut") }})
	out := s.expect(2, "push", filepath.Join(s.dir, "fleet"), "--store", s.store, "--config", filepath.Join(s.dir, "mtlsguard.yaml"), "--sign", s.key)
	if !strings.Contains(out, "error: the store: the line is cut (mtlsguard-fleet log shows whether generation 1 is committed)\nhint: ") {
		t.Error(out)
	}
}

// Every command reports that the store does not answer, with a hint.
func TestSilentStoreIsReported(t *testing.T) {
	t.Parallel()
	s := newFleetSite(t)
	memory := sourcetest.NewMemory("orders")
	stores.Store("broken", memory)
	s.store = "memory:broken"
	s.edit("push", filepath.Join(s.dir, "fleet"))
	memory.Break(errors.New("the line is cut"))
	config := []string{"--config", filepath.Join(s.dir, "mtlsguard.yaml")}
	for _, args := range [][]string{
		{"log"}, {"show"}, {"diff"}, {"status"}, {"show", "1"}, append([]string{"push", filepath.Join(s.dir, "fleet")}, config...),
		append([]string{"rollback", "1"}, config...), append([]string{"users", "remove", "alice"}, config...), append([]string{"seed", "--out", filepath.Join(s.dir, "keep")}, config...),
	} {
		out := s.expect(2, append(args, "--store", s.store, "--fleet", "orders")...)
		if !strings.HasPrefix(out, "error: the store: ") || !strings.Contains(out, "the line is cut") || !strings.Contains(out, "\nhint: ") {
			t.Errorf("%s: got %s, want the error of the store with a hint", args, out)
		}
	}
	if out := s.expect(2, "prune", "--store", s.store, "--fleet", "orders"); !strings.Contains(out, "cannot be pruned") {
		t.Error(out)
	}
}

// A rollback to a generation that is signed, and was never in effect, is refused: an editor who has lost a race has
// signed one.
// Covers U9.
func TestRollbackToALostCommitIsRefused(t *testing.T) {
	t.Parallel()
	s := newFleetSite(t)
	folder, lost, memory := filepath.Join(s.dir, "fleet"), sourcetest.NewMemory("orders"), sourcetest.NewMemory("orders")
	stores.Store("lost race", lost)
	s.store = "memory:lost race"
	s.edit("push", folder)
	first, err := lost.At(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, recordName)); err != nil { // another editor's folder has none of it
		t.Fatal(err)
	}
	stores.Store("forging", memory)
	s.store = "memory:forging"
	for _, rule := range []string{"/one", "/two"} {
		s.write("fleet/policy.csv", "p, group:Authenticated, *, GET, "+rule+", allow\n")
		s.edit("push", folder)
	}
	stores.Store("forging", forging{memory, first})
	out := s.expect(2, "rollback", "1", "--store", s.store, "--config", filepath.Join(s.dir, "mtlsguard.yaml"), "--sign", s.key)
	if !strings.Contains(out, "generation 1 of the store is not the parent of generation 2") {
		t.Error(out)
	}
}
