package postgres

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/mtlsguard/mtlsguard/source"
)

const (
	partSize = 256 << 10 // bytes of each part of a blob but the last
	atOnce   = 4         // parts of one query
)

// open is the source.OpenFunc of the store.
func (s *Store) open(ctx context.Context, f source.File) (io.ReadCloser, error) {
	return s.openIn(ctx, s.pool, f)
}

// openIn opens a blob, and reads its first parts.
func (s *Store) openIn(ctx context.Context, q querier, f source.File) (io.ReadCloser, error) {
	b := &blob{ctx: ctx, store: s, from: q, file: f}
	if f.Size > 0 {
		if err := b.fetch(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// blob reads the content of a file. It holds at most 1 MiB, and no connection between two reads. After a
// lost connection it continues with the part that it needs.
type blob struct {
	ctx   context.Context
	store *Store
	from  querier
	file  source.File
	next  int64    // offset of the first byte that was not fetched; a multiple of partSize, or the size
	parts [][]byte // fetched, and not read yet
}

// Read reads what is fetched, and fetches more.
func (b *blob) Read(p []byte) (int, error) {
	if len(b.parts) == 0 {
		if b.next >= b.file.Size {
			return 0, io.EOF
		}
		if err := b.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.parts[0])
	if b.parts[0] = b.parts[0][n:]; len(b.parts[0]) == 0 {
		b.parts = b.parts[1:]
	}
	return n, nil
}

// Close ends nothing: no connection is held.
func (b *blob) Close() error { return nil }

// fetch reads the next parts. Their number and sizes follow from the size in the manifest, and not from the
// rows of the database.
func (b *blob) fetch() error {
	const query = `select part, case when octet_length(data) <= $5 then data end from mtlsguard.blob
		where fleet = $1 and digest = $2 and part >= $3 and part < $4 order by part limit $4 - $3`
	first := b.next / partSize
	end := min(first+atOnce, (b.file.Size+partSize-1)/partSize)
	var fetched [][]byte
	var next int64
	err := b.store.query(b.ctx, b.store.times.part, func(ctx context.Context) error {
		fetched, next = nil, b.next
		rows, err := b.from.Query(ctx, query, mode, b.store.fleet, b.file.SHA256[:], int32(first), int32(end), int32(partSize))
		if err != nil {
			return err
		}
		var part int32
		var data []byte
		_, err = pgx.ForEachRow(rows, []any{&part, &data}, func() error {
			want := min(partSize, b.file.Size-next)
			if int64(part) != next/partSize || int64(len(data)) != want {
				return fmt.Errorf("%w: part %d of the blob %s has %d bytes, want part %d of %d", errStored, part, b.file.SHA256, len(data), next/partSize, want)
			}
			fetched, next = append(fetched, data), next+want
			data = nil
			return nil
		})
		return err
	})
	switch {
	case err != nil:
		return err
	case len(fetched) == 0: // it was never there, or was pruned meanwhile
		return b.store.explain(fmt.Errorf("the blob %s: %w", b.file.SHA256, fs.ErrNotExist))
	case next < min(b.file.Size, end*partSize):
		return b.store.explain(fmt.Errorf("%w: the blob %s ends after %d bytes", errStored, b.file.SHA256, next))
	}
	b.parts, b.next = fetched, next
	return nil
}
