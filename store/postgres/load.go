package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/mtlsguard/mtlsguard/source"
)

const maxSignatures = 16 << 10 // bytes of the signatures of a generation

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

// selectGeneration reads a generation. A manifest that the caller has, or that is too large, is not sent.
const selectGeneration = `select number, digest,
	case when digest <> $2 and octet_length(manifest) <= $3 then manifest end,
	case when octet_length(signatures) <= $4 then signatures end
	from mtlsguard.generation where fleet = $1 `

// Load returns the newest generation; see source.Source.
func (s *Store) Load(ctx context.Context, have *source.Generation) (*source.Generation, error) {
	return s.generation(ctx, s.pool, have, "order by number desc limit 1")
}

// At returns the generation of a number; see source.Store.
func (s *Store) At(ctx context.Context, number uint64) (*source.Generation, error) {
	if number > math.MaxInt64 {
		return nil, source.ErrNone
	}
	g, err := s.generation(ctx, s.pool, nil, "and number = $5", int64(number))
	if err == nil && g.Manifest.Number != number {
		return nil, s.explain(fmt.Errorf("%w: generation %d as number %d", errStored, g.Manifest.Number, number))
	}
	return g, err
}

// generation reads the generation that the end of the query selects.
func (s *Store) generation(ctx context.Context, q querier, have *source.Generation, end string, arguments ...any) (*source.Generation, error) {
	var haveDigest source.Digest
	if have != nil {
		haveDigest = have.Digest()
	}
	var number int64
	var digest, raw, signatures []byte
	arguments = append([]any{mode, s.fleet, haveDigest[:], source.MaxManifest, maxSignatures}, arguments...)
	err := s.query(ctx, s.times.answer, func(ctx context.Context) error {
		return q.QueryRow(ctx, selectGeneration+end, arguments...).Scan(&number, &digest, &raw, &signatures)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, source.ErrNone
	}
	if err != nil {
		return nil, err
	}
	same := have != nil && bytes.Equal(digest, haveDigest[:])
	switch {
	case same && bytes.Equal(signatures, encodeSignatures(have.Signatures)):
		return have, nil
	case same:
		raw = have.Raw
	case raw == nil:
		return nil, s.explain(fmt.Errorf("%w: generation %d has a manifest of more than %d KiB", errStored, number, source.MaxManifest>>10))
	}
	g, err := s.decode(number, raw, signatures)
	if err != nil {
		return nil, s.explain(err)
	}
	return g, nil
}

// decode returns the generation of a row. Its files are read from the database when they are opened.
func (s *Store) decode(number int64, raw, signatures []byte) (*source.Generation, error) {
	var list []source.Signature
	if err := json.Unmarshal(signatures, &list); err != nil {
		return nil, fmt.Errorf("%w: the signatures of generation %d: %w", errStored, number, err)
	}
	g, err := source.New(raw, list, s.open)
	if err != nil {
		return nil, fmt.Errorf("%w: generation %d: %w", errStored, number, err)
	}
	if g.Manifest.Fleet != s.fleet || g.Manifest.Number != uint64(number) {
		return nil, fmt.Errorf("%w: generation %d of fleet %q as number %d of fleet %q", errStored, g.Manifest.Number, g.Manifest.Fleet, number, s.fleet)
	}
	return g, nil
}

// encodeSignatures returns signatures as they are stored.
func encodeSignatures(list []source.Signature) []byte {
	if list == nil {
		list = []source.Signature{}
	}
	data, _ := json.Marshal(list) // it has only texts
	return data
}

// History returns manifests, newest first; see source.Store. One call returns at most 1,000, and 64 MiB.
func (s *Store) History(ctx context.Context, before uint64, n int) ([]source.Manifest, error) {
	if before == 0 || before > math.MaxInt64 {
		before = math.MaxInt64
	}
	const query = `select number, manifest from (
		select number, manifest, sum(octet_length(manifest)) over (order by number desc) as bytes
		from (select number, manifest from mtlsguard.generation where fleet = $1 and number < $2 order by number desc limit $3) newest
	) bounded where bytes <= 67108864 and octet_length(manifest) <= $4 order by number desc`
	var out []source.Manifest
	err := s.query(ctx, s.times.part, func(ctx context.Context) error {
		out = nil
		rows, err := s.pool.Query(ctx, query, mode, s.fleet, int64(before), min(max(n, 0), 1000), source.MaxManifest)
		if err != nil {
			return err
		}
		var number int64
		var raw []byte
		_, err = pgx.ForEachRow(rows, []any{&number, &raw}, func() error {
			g, err := s.decode(number, raw, []byte("[]"))
			if err == nil {
				out = append(out, g.Manifest)
			}
			return err
		})
		return err
	})
	return out, err
}
