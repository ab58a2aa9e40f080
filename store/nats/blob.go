package natsstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/source"
)

// blobKey is the key of a part of a file.
func blobKey(d source.Digest, part int) string {
	return "blob." + d.String() + "." + strconv.Itoa(part)
}

// writeBlob writes all parts of a file. Each part of a digest is always the same, because data has
// that digest.
func (s *Store) writeBlob(ctx context.Context, kv jetstream.KeyValue, d source.Digest, data []byte) error {
	for part := 0; len(data) > 0; part++ {
		n := min(partSize, len(data))
		if err := s.put(ctx, kv, blobKey(d, part), data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// open is the source.OpenFunc of the store. It reads nothing yet.
func (s *Store) open(ctx context.Context, f source.File) (io.ReadCloser, error) {
	return &blobReader{ctx: ctx, store: s, file: f}, nil
}

// blobReader reads a file part by part. How many there are, and how long each is, follows from
// the size in the manifest, and never from the server's answer.
type blobReader struct {
	ctx   context.Context
	store *Store
	file  source.File
	part  int    // the next one
	rest  []byte // of the current one
}

func (r *blobReader) Close() error { return nil }

func (r *blobReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		left := r.file.Size - int64(r.part)*partSize
		if left <= 0 {
			return 0, io.EOF
		}
		data, err := r.fetch(int(min(left, partSize)))
		if err != nil {
			return 0, err
		}
		r.rest = data
		r.part++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fetch reads the next part. After an error it tries again, a few times: a server may be busy with
// many nodes, and a replica may get a part later than the generation.
func (r *blobReader) fetch(size int) ([]byte, error) {
	key := blobKey(r.file.SHA256, r.part)
	pause := 50 * time.Millisecond
	for attempt := 1; ; attempt++ {
		e, err := r.store.get(r.ctx, r.store.blobs(), key)
		if err == nil {
			if len(e.Value()) != size {
				return nil, fmt.Errorf("%s of the bucket %s has %d bytes, and should have %d", key, r.store.blobs(), len(e.Value()), size)
			}
			return e.Value(), nil
		}
		if attempt == 5 || errors.Is(err, errOffline) || r.ctx.Err() != nil {
			if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrBucketNotFound) {
				return nil, fmt.Errorf("%s of the bucket %s: %w", key, r.store.blobs(), fs.ErrNotExist)
			}
			return nil, err
		}
		if err := sleep(r.ctx, pause+rand.N(pause)); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// sleep waits, or returns the error of ctx when that ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
