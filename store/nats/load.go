package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/internal/parts"
	"github.com/mtlsguard/mtlsguard/source"
)

// Load implements source.Source.
func (s *Store) Load(ctx context.Context, have *source.Generation) (*source.Generation, error) {
	g, _, err := s.head(ctx)
	if err != nil {
		return nil, err
	}
	if g.Same(have) {
		return have, nil
	}
	return g, nil
}

// head returns the newest generation and the revision of its key.
func (s *Store) head(ctx context.Context) (*source.Generation, uint64, error) {
	return s.generation(ctx, headKey, 0)
}

// generation reads the generation at a key. number is what its number must be, if not 0. The error
// is source.ErrNone if there is none.
func (s *Store) generation(ctx context.Context, key string, number uint64) (*source.Generation, uint64, error) {
	e, err := s.get(ctx, s.manifests(), key)
	if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, 0, source.ErrNone
	}
	if err != nil {
		return nil, 0, err
	}
	g, err := source.Decode(e.Value(), parts.Opener(partSize, s.fetch))
	switch {
	case err != nil:
		err = fmt.Errorf("%s of the bucket %s: %w", key, s.manifests(), err)
	case g.Manifest.Fleet != s.config.Fleet:
		err = fmt.Errorf("%s of the bucket %s is of the fleet %q", key, s.manifests(), g.Manifest.Fleet)
	case number != 0 && g.Manifest.Number != number:
		err = fmt.Errorf("%s of the bucket %s is generation %d", key, s.manifests(), g.Manifest.Number)
	}
	if err != nil {
		return nil, 0, err
	}
	return g, e.Revision(), nil
}

// generationKey is the key of a generation that is not the newest any more.
func generationKey(number uint64) string { return "gen." + strconv.FormatUint(number, 10) }

// At implements source.Store.
func (s *Store) At(ctx context.Context, number uint64) (*source.Generation, error) {
	head, _, err := s.head(ctx)
	switch {
	case err != nil:
		return nil, err
	case number == 0 || number > head.Manifest.Number:
		return nil, source.ErrNone
	case number == head.Manifest.Number:
		return head, nil
	}
	g, _, err := s.generation(ctx, generationKey(number), number)
	return g, err
}

// History implements source.Store.
func (s *Store) History(ctx context.Context, before uint64, n int) ([]source.Manifest, error) {
	var out []source.Manifest
	g, _, err := s.head(ctx)
	if errors.Is(err, source.ErrNone) || n <= 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if before == 0 || before > g.Manifest.Number {
		out = append(out, g.Manifest)
		before = g.Manifest.Number
	}
	for number := before - 1; number > 0 && len(out) < n; number-- {
		g, _, err := s.generation(ctx, generationKey(number), number)
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
