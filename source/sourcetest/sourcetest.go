// Package sourcetest checks that a store keeps the promises of source.Store. It also has a store
// in memory for tests.
package sourcetest

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
)

// Fleet is the name of the fleet whose generations Run commits.
const Fleet = "sourcetest"

// within bounds each wait. Stores are much faster; test machines are not always.
const within = 20 * time.Second

// Run checks a store, in one subtest for each promise. open returns an empty store of the fleet Fleet; each
// subtest opens its own, and open registers with t.Cleanup what closes it. The
// subtests do not run in parallel. With -short there are fewer races and smaller files.
func Run(t *testing.T, open func(t *testing.T) source.Store) {
	for _, x := range []struct {
		name  string
		check func(*suite)
	}{
		{"an empty store has no generation", checkEmpty},
		{"a generation comes back as it was committed", checkRoundTrip},
		{"the manifest comes back byte for byte", checkRaw},
		{"what the caller has is not brought again", checkHave},
		{"only the child of the newest generation is committed", checkParent},
		{"of two editors one wins, and no generation is lost", checkRaces},
		{"large files come back", checkLarge},
		{"a file whose content is wrong is not committed", checkWrongContent},
		{"a file that ends early is not committed", checkBrokenFile},
		{"a canceled commit leaves nothing", checkCanceled},
		{"the history is complete", checkHistory},
		{"a watch ends when a generation is committed", checkWatch},
		{"a watch misses no generation committed before", checkWatchMissed},
		{"a watch ends with its context", checkWatchCanceled},
		{"many watches end", checkManyWatches},
		{"reports are kept by node", checkReports},
	} {
		t.Run(x.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			x.check(&suite{T: t, ctx: ctx, store: open(t)})
		})
	}
}

// suite is one subtest.
type suite struct {
	*testing.T
	ctx   context.Context
	store source.Store
}

// next returns a generation after parent with one file.
func (s *suite) next(parent *source.Generation, author, content string) *source.Generation {
	s.Helper()
	return s.nextFiles(parent, author, map[string]string{"users.yaml": content})
}

// nextFiles returns a generation after parent with these files.
func (s *suite) nextFiles(parent *source.Generation, author string, contents map[string]string) *source.Generation {
	s.Helper()
	files := fstest.MapFS{}
	for name, content := range contents {
		files[name] = &fstest.MapFile{Data: []byte(content)}
	}
	g, err := source.Next(parent, source.Manifest{Fleet: Fleet, Author: author}, files)
	if err != nil {
		s.Fatal(err)
	}
	return g
}

// commit commits a generation, and fails the test after an error.
func (s *suite) commit(g *source.Generation) *source.Generation {
	s.Helper()
	if err := s.store.Commit(s.ctx, g); err != nil {
		s.Fatalf("commit of generation %d: %v", g.Manifest.Number, err)
	}
	return g
}

// load returns the newest generation.
func (s *suite) load() *source.Generation {
	s.Helper()
	g, err := s.store.Load(s.ctx, nil)
	if err != nil {
		s.Fatalf("load: %v", err)
	}
	return g
}

// content returns the content of a file of a generation.
func (s *suite) content(g *source.Generation, name string) string {
	s.Helper()
	for _, f := range g.Manifest.Files {
		if f.Name == name {
			data, err := g.ReadFile(s.ctx, f)
			if err != nil {
				s.Fatalf("generation %d: %v", g.Manifest.Number, err)
			}
			return string(data)
		}
	}
	s.Fatalf("generation %d has no file %s", g.Manifest.Number, name)
	return ""
}

// newestIs checks that want is the newest generation; nil is none.
func (s *suite) newestIs(want *source.Generation) {
	s.Helper()
	got, err := s.store.Load(s.ctx, nil)
	switch {
	case want == nil && !errors.Is(err, source.ErrNone):
		s.Errorf("load: %v, %v, want ErrNone", got, err)
	case want == nil:
	case err != nil:
		s.Errorf("load: %v", err)
	case got.Digest() != want.Digest():
		s.Errorf("the newest is generation %d by %s, want %d by %s", got.Manifest.Number, got.Manifest.Author, want.Manifest.Number, want.Manifest.Author)
	}
}
