package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard/source"
)

// pruneTimeout bounds Prune. The lease of pruningKey is longer: if the process dies, commits wait
// for its end.
const pruneTimeout = 4 * time.Minute

// Retention describes what Prune keeps.
type Retention struct {
	Keep    int           // this many of the newest generations; at least 1 is kept
	Younger time.Duration // all that were the newest within this time, by the clocks of their authors
}

// Prune removes old generations, and the files that no other generation names. It returns how many
// generations it removed. Commits wait until it has ended, for five minutes at most if its process dies.
// etcd frees the space when it compacts its history.
func (s *Store) Prune(ctx context.Context, r Retention) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, pruneTimeout)
	defer cancel()
	p, err := s.beginPrune(ctx)
	if err != nil {
		return 0, err
	}
	defer p.end()
	head, _, _, err := s.generation(ctx, headKey, 0)
	if errors.Is(err, source.ErrNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	old, named, err := s.plan(ctx, head, r)
	if err != nil {
		return 0, fmt.Errorf("nothing was removed: %w", err)
	}
	for n, number := range old {
		if err := p.remove(ctx, generationKey(number)); err != nil {
			return n, err
		}
	}
	unnamed := map[source.Digest]bool{}
	err = s.list(ctx, "blob/", 1000, true, func(key string, _ []byte) error {
		name := strings.Split(key, "/")
		var d source.Digest
		if len(name) == 3 && d.UnmarshalText([]byte(name[1])) == nil && !named[d] {
			unnamed[d] = true
		}
		return nil
	})
	if err != nil {
		return len(old), err
	}
	for d := range unnamed {
		if err := p.remove(ctx, blobPrefix(d), clientv3.WithPrefix()); err != nil {
			return len(old), err
		}
	}
	return len(old), nil
}

// plan returns the numbers of the generations to remove, oldest first, and the files that the
// others name.
func (s *Store) plan(ctx context.Context, head *source.Generation, r Retention) (old []uint64, named map[source.Digest]bool, err error) {
	var numbers []uint64
	err = s.list(ctx, "gen/", 1000, true, func(key string, _ []byte) error {
		if number, err := strconv.ParseUint(strings.TrimPrefix(key, "gen/"), 10, 64); err == nil && generationKey(number) == key {
			numbers = append(numbers, number)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	named = map[source.Digest]bool{}
	for _, f := range head.Manifest.Files {
		named[f.SHA256] = true
	}
	superseded := time.Now() // when the next generation was written
	for i := len(numbers) - 1; i >= 0; i-- {
		number := numbers[i]
		g, err := s.At(ctx, number)
		if err != nil {
			return nil, nil, err
		}
		if number < head.Manifest.Number && head.Manifest.Number-number >= uint64(max(r.Keep, 1)) && time.Since(superseded) >= r.Younger {
			old = append([]uint64{number}, old...)
		} else {
			for _, f := range g.Manifest.Files {
				named[f.SHA256] = true
			}
		}
		superseded = g.Manifest.At
	}
	return old, named, nil
}

// pruning is a running Prune.
type pruning struct {
	store   *Store
	lease   clientv3.LeaseID
	created int64 // revision of pruningKey
}

// beginPrune makes commits wait. A commit that has begun before does not succeed any more, and begins
// again.
func (s *Store) beginPrune(ctx context.Context) (*pruning, error) {
	p := &pruning{store: s}
	err := s.request(ctx, "begin to remove old generations", func(ctx context.Context, c *clientv3.Client) error {
		lease, err := c.Grant(ctx, int64((pruneTimeout+time.Minute)/time.Second))
		if err != nil {
			return err
		}
		p.lease = lease.ID
		answer, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(s.prefix+pruningKey), "=", 0)).
			Then(clientv3.OpPut(s.prefix+pruningKey, "", clientv3.WithLease(p.lease)), clientv3.OpPut(s.prefix+prunedKey, "")).Commit()
		if err != nil {
			return err
		}
		if !answer.Succeeded {
			return errPruned
		}
		p.created = answer.Header.GetRevision()
		return nil
	})
	if err != nil {
		if p.lease != 0 {
			p.end()
		}
		return nil, err
	}
	return p, nil
}

// remove removes keys if commits still wait.
func (p *pruning) remove(ctx context.Context, key string, options ...clientv3.OpOption) error {
	return p.store.request(ctx, "remove "+p.store.prefix+key, func(ctx context.Context, c *clientv3.Client) error {
		answer, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(p.store.prefix+pruningKey), "=", p.created)).
			Then(clientv3.OpDelete(p.store.prefix+key, options...)).Commit()
		if err == nil && !answer.Succeeded {
			return errors.New("it has taken too long")
		}
		return err
	})
}

// end lets commits continue.
func (p *pruning) end() {
	_ = p.store.request(context.Background(), "end", func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Revoke(ctx, p.lease)
		return err
	})
}
