package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard/source"
)

const (
	commitTimeout = 15 * time.Minute
	pruningKey    = "pruning" // exists while Prune removes keys
	prunedKey     = "pruned"  // written when Prune begins
)

// errPruned is the error of a commit during which Prune has begun.
var errPruned = errors.New("old generations are being removed: try again later")

// Commit implements source.Store. It begins again if Prune has begun meanwhile, because Prune may
// have removed files that the commit found or wrote.
func (s *Store) Commit(ctx context.Context, g *source.Generation) error {
	if g.Manifest.Fleet != s.config.Fleet {
		return fmt.Errorf("the store is of fleet %q, and the generation of fleet %q", s.config.Fleet, g.Manifest.Fleet)
	}
	if n := len(g.Encode()); n > source.MaxEnvelope {
		return fmt.Errorf("the manifest and its signatures have %d bytes, and at most %d are allowed", n, source.MaxEnvelope)
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	for {
		err := s.tryCommit(ctx, g)
		if !errors.Is(err, errPruned) {
			return err
		}
		if sleep(ctx, 200*time.Millisecond) != nil {
			return err
		}
	}
}

// tryCommit commits g. The error is errPruned if Prune has begun meanwhile.
func (s *Store) tryCommit(ctx context.Context, g *source.Generation) error {
	pruned, _, err := s.get(ctx, prunedKey)
	if err != nil {
		return err
	}
	if running, _, err := s.get(ctx, pruningKey); err != nil || running != nil {
		return orPruned(err)
	}
	parent, written, _, err := s.generation(ctx, headKey, 0)
	if err != nil && !errors.Is(err, source.ErrNone) {
		return err
	}
	if !g.Follows(parent) {
		return source.ErrConflict
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
		if err := s.writeBlob(ctx, g, f); err != nil {
			return err
		}
	}
	notPruned := []clientv3.Cmp{
		clientv3.Compare(clientv3.CreateRevision(s.prefix+pruningKey), "=", 0),
		clientv3.Compare(clientv3.ModRevision(s.prefix+prunedKey), "=", pruned.writtenIn()),
	}
	envelope := string(g.Encode())
	var done, conflict bool
	err = s.request(ctx, "commit", func(ctx context.Context, c *clientv3.Client) error {
		answer, err := c.Txn(ctx).If(append(notPruned, clientv3.Compare(clientv3.ModRevision(s.prefix+headKey), "=", written))...).
			Then(clientv3.OpPut(s.prefix+headKey, envelope), clientv3.OpPut(s.prefix+generationKey(g.Manifest.Number), envelope)).
			Else(clientv3.OpGet(s.prefix+headKey, clientv3.WithKeysOnly())).Commit()
		if err != nil {
			return err
		}
		done = answer.Succeeded
		if kvs := answer.Responses; !done && len(kvs) == 1 {
			now := kvs[0].GetResponseRange().GetKvs()
			conflict = len(now) == 0 && written != 0 || len(now) == 1 && now[0].ModRevision != written
		}
		return nil
	})
	switch {
	case done:
		return nil
	case conflict:
		return source.ErrConflict
	case err == nil:
		return errPruned
	}
	// The answer was lost. Perhaps the commit was not.
	if now, _, _, loadErr := s.generation(ctx, headKey, 0); loadErr == nil && now.Same(g) {
		return nil
	}
	return err
}

func orPruned(err error) error {
	if err != nil {
		return err
	}
	return errPruned
}

// writtenIn returns the revision in which a key was written; 0 if it does not exist.
func (e *entry) writtenIn() int64 {
	if e == nil {
		return 0
	}
	return e.revision
}
