// Package parts reads files that a store keeps in parts of one size.
package parts

import (
	"context"
	"fmt"
	"io"

	"github.com/mtlsguard/mtlsguard/source"
)

// Fetch returns a part of a file. The first one is 0.
type Fetch func(ctx context.Context, f source.File, part int) ([]byte, error)

// Opener returns the source.OpenFunc of a store whose parts have partSize bytes, and the last one of a file
// the rest. It fetches nothing before a Read.
func Opener(partSize int, fetch Fetch) source.OpenFunc {
	return func(ctx context.Context, f source.File) (io.ReadCloser, error) {
		return &reader{ctx: ctx, file: f, partSize: int64(partSize), fetch: fetch}, nil
	}
}

// reader reads a file part by part. How many there are, and how long each is, follows from the size in the
// manifest, and never from the store's answer.
type reader struct {
	ctx      context.Context
	file     source.File
	partSize int64
	fetch    Fetch
	next     int    // part
	rest     []byte // of the current part
}

func (r *reader) Close() error { return nil }

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		left := r.file.Size - int64(r.next)*r.partSize
		if left <= 0 {
			return 0, io.EOF
		}
		data, err := r.fetch(r.ctx, r.file, r.next)
		if err != nil {
			return 0, err
		}
		if size := min(left, r.partSize); int64(len(data)) != size {
			return 0, fmt.Errorf("part %d of %s (SHA-256 %s) has %d bytes, and should have %d", r.next, r.file.Name, r.file.SHA256, len(data), size)
		}
		r.rest = data
		r.next++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
