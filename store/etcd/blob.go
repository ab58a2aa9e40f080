package etcdstore

import (
	"context"
	"fmt"
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

// fetch reads a part of a file: from any server of the cluster, and if that does not have it, by a
// linearizable read. After an error it tries again, a few times.
func (s *Store) fetch(ctx context.Context, f source.File, part int) ([]byte, error) {
	key := blobKey(f.SHA256, part)
	pause := 50 * time.Millisecond
	options := []clientv3.OpOption{clientv3.WithSerializable()}
	for attempt := 1; ; attempt++ {
		e, _, err := s.get(ctx, key, options...)
		switch {
		case err == nil && e != nil:
			return e.data, nil
		case err == nil && len(options) == 0:
			return nil, fmt.Errorf("%s%s: %w", s.prefix, key, fs.ErrNotExist)
		case err == nil:
			options = nil
			continue
		case attempt >= 4 || ctx.Err() != nil:
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
