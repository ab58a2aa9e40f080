package natsstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/source"
)

// commitTimeout bounds a commit. It is shorter than the grace of Prune, which leaves what a
// running commit has written.
const commitTimeout = 15 * time.Minute

// Commit implements source.Store. The first one creates the buckets.
func (s *Store) Commit(ctx context.Context, g *source.Generation) error {
	if g.Manifest.Fleet != s.config.Fleet {
		return fmt.Errorf("the store is of fleet %q, and the generation of fleet %q", s.config.Fleet, g.Manifest.Fleet)
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	envelope := g.Encode()
	if err := s.fits(ctx, max(len(envelope), partSize)); err != nil {
		return err
	}
	parent, revision, err := s.head(ctx)
	if err != nil && !errors.Is(err, source.ErrNone) {
		return err
	}
	if !g.Follows(parent) {
		return source.ErrConflict
	}
	manifests, err := s.create(ctx, s.manifests())
	if err != nil {
		return err
	}
	if err := s.writeFiles(ctx, g, parent); err != nil {
		return err
	}
	if parent == nil {
		// Nodes need not have the permission to create a bucket.
		if _, err := s.create(ctx, s.nodes()); err != nil {
			return err
		}
	} else {
		// Each editor that replaces a head first keeps it as history. The content is the same for
		// every editor.
		if err := s.put(ctx, manifests, generationKey(parent.Manifest.Number), parent.Encode()); err != nil {
			return err
		}
	}
	return s.writeHead(ctx, manifests, g, envelope, revision)
}

// fits returns an error if the server does not take messages of n bytes.
func (s *Store) fits(ctx context.Context, n int) error {
	_, cancel, err := s.request(ctx)
	if err != nil {
		return err
	}
	cancel()
	const headers = 1 << 10
	if limit := s.conn.MaxPayload(); int64(n+headers) > limit || n > source.MaxEnvelope {
		return fmt.Errorf("the manifest or a part of a file has %d bytes, and the server takes messages of %d: set max_payload to 1MB in its configuration", n, limit)
	}
	return nil
}

// writeFiles writes the files of g that its parent does not have. It writes them even if they are there
// from an older generation: Prune removes those that were written long ago.
func (s *Store) writeFiles(ctx context.Context, g, parent *source.Generation) error {
	kv, err := s.create(ctx, s.blobs())
	if err != nil {
		return err
	}
	there := map[source.Digest]bool{}
	if parent != nil {
		for _, f := range parent.Blobs() {
			there[f.SHA256] = true
		}
	}
	for _, f := range g.Blobs() {
		if there[f.SHA256] {
			continue
		}
		data, err := g.ReadFile(ctx, f) // checks it before anything is written
		if err != nil {
			return err
		}
		if err := s.writeBlob(ctx, kv, f.SHA256, data); err != nil {
			return err
		}
	}
	return nil
}

// writeHead makes g the newest generation if head still has this revision; 0 is none.
func (s *Store) writeHead(ctx context.Context, kv jetstream.KeyValue, g *source.Generation, envelope []byte, revision uint64) error {
	request, cancel, err := s.request(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if revision == 0 {
		_, err = kv.Create(request, headKey, envelope)
	} else {
		_, err = kv.Update(request, headKey, envelope, revision)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch):
		return source.ErrConflict
	}
	// The answer was lost. Perhaps the commit was not.
	if now, _, loadErr := s.head(ctx); loadErr == nil && now.Same(g) {
		return nil
	}
	return s.explain(request, "write head of the bucket "+kv.Bucket(), err)
}
