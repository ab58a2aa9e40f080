package etcdstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/parts"
	"github.com/mtlsguard/mtlsguard/source"
)

const headKey = "head"

// generationKey is the key of a generation. Keys are in the order of numbers.
func generationKey(number uint64) string { return fmt.Sprintf("gen/%020d", number) }

// Load implements source.Source.
func (s *Store) Load(ctx context.Context, have *source.Generation) (*source.Generation, error) {
	g, _, read, err := s.generation(ctx, headKey, 0)
	s.mu.Lock()
	s.loaded = loaded{g, read}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if g.Same(have) {
		return have, nil
	}
	return g, nil
}

// lastLoad returns the revision of the store when have was read as the newest generation; 0 if the last
// Load failed or brought another one.
func (s *Store) lastLoad(have *source.Generation) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded.generation == nil || !s.loaded.generation.Same(have) {
		return 0
	}
	return s.loaded.read
}

// generation reads the generation at a key, the revision in which it was written, and the one of the store
// when it was read. number is what its number must be, if not 0. The error is source.ErrNone if there is none.
func (s *Store) generation(ctx context.Context, key string, number uint64) (g *source.Generation, written, read int64, err error) {
	e, read, err := s.get(ctx, key)
	if err != nil {
		return nil, 0, 0, err
	}
	if e == nil {
		return nil, 0, read, source.ErrNone
	}
	g, err = source.Decode(e.data, parts.Opener(partSize, s.fetch))
	switch {
	case err != nil:
		err = fmt.Errorf("%s%s: %w", s.prefix, key, err)
	case g.Manifest.Fleet != s.config.Fleet:
		err = fmt.Errorf("%s%s is of the fleet %q", s.prefix, key, g.Manifest.Fleet)
	case number != 0 && g.Manifest.Number != number:
		err = fmt.Errorf("%s%s is generation %d", s.prefix, key, g.Manifest.Number)
	}
	if err != nil {
		return nil, 0, 0, err
	}
	return g, e.revision, read, nil
}

// At implements source.Store.
func (s *Store) At(ctx context.Context, number uint64) (*source.Generation, error) {
	if number == 0 {
		return nil, source.ErrNone
	}
	g, _, _, err := s.generation(ctx, generationKey(number), number)
	return g, err
}

// History implements source.Store.
func (s *Store) History(ctx context.Context, before uint64, n int) ([]source.Manifest, error) {
	head, _, _, err := s.generation(ctx, headKey, 0)
	if errors.Is(err, source.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	number := head.Manifest.Number
	if before != 0 && before <= number {
		number = before - 1
	}
	var out []source.Manifest
	for ; number > 0 && len(out) < n; number-- {
		g, err := s.At(ctx, number)
		if errors.Is(err, source.ErrNone) {
			break // older ones were pruned
		}
		if err != nil {
			return out, err
		}
		out = append(out, g.Manifest)
	}
	return out, nil
}
