package etcdstore

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard/source"
)

// partSize is the size of a part of a file; a request has at most 1.5 MiB.
const partSize = 256 << 10

// blobPrefix begins the keys of the parts of a file.
func blobPrefix(d source.Digest) string { return "blob/" + d.String() + "/" }

// blobKey is the key of a part of a file.
func blobKey(d source.Digest, part int) string { return fmt.Sprintf("%s%06d", blobPrefix(d), part) }

// writeBlob writes a file. Each part of a digest is always the same, because the content was
// checked before: so writing it again repairs a damaged part.
func (s *Store) writeBlob(ctx context.Context, g *source.Generation, f source.File) error {
	data, err := g.ReadFile(ctx, f) // checks it before anything is written
	if err != nil {
		return err
	}
	for part := 0; len(data) > 0; part++ {
		n := min(partSize, len(data))
		err := s.request(ctx, "write "+f.Name, func(ctx context.Context, c *clientv3.Client) error {
			_, err := c.Put(ctx, s.prefix+blobKey(f.SHA256, part), string(data[:n]))
			return err
		})
		if err != nil {
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

// fetch reads the next part: from any server of the cluster, and if that does not have it, by a
// linearizable read. After an error it tries again, a few times.
func (r *blobReader) fetch(size int) ([]byte, error) {
	key := blobKey(r.file.SHA256, r.part)
	pause := 50 * time.Millisecond
	options := []clientv3.OpOption{clientv3.WithSerializable()}
	for attempt := 1; ; attempt++ {
		e, _, err := r.store.get(r.ctx, key, options...)
		switch {
		case err == nil && e != nil && len(e.data) == size:
			return e.data, nil
		case err == nil && e != nil:
			return nil, fmt.Errorf("%s%s has %d bytes, and should have %d", r.store.prefix, key, len(e.data), size)
		case err == nil && len(options) == 0:
			return nil, fmt.Errorf("%s%s: %w", r.store.prefix, key, fs.ErrNotExist)
		case err == nil:
			options = nil
			continue
		case attempt >= 4 || r.ctx.Err() != nil:
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
