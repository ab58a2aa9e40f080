package natsstore

import (
	"context"
	"errors"
	"fmt"
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

// fetch reads a part of a file. After an error it tries again, a few times: a server may be busy with
// many nodes, and a replica may get a part later than the generation.
func (s *Store) fetch(ctx context.Context, f source.File, part int) ([]byte, error) {
	key := blobKey(f.SHA256, part)
	pause := 50 * time.Millisecond
	for attempt := 1; ; attempt++ {
		e, err := s.get(ctx, s.blobs(), key)
		if err == nil {
			return e.Value(), nil
		}
		if attempt == 5 || errors.Is(err, errOffline) || ctx.Err() != nil {
			if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrBucketNotFound) {
				return nil, fmt.Errorf("%s of the bucket %s: %w", key, s.blobs(), fs.ErrNotExist)
			}
			return nil, err
		}
		if err := sleep(ctx, pause+rand.N(pause)); err != nil {
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
