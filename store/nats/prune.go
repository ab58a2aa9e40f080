package natsstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/source"
)

// Retention describes what Prune keeps.
type Retention struct {
	Keep    int           // this many of the newest generations; at least 1 is kept
	Younger time.Duration // all that were the newest within this time
	// Grace is how long files are kept after they were written, whatever names them: a commit that
	// runs meanwhile may need them. It must be longer than any commit takes. 0 means 1 h.
	Grace time.Duration
}

// Prune removes old generations, and the files that only they name. It returns how many
// generations it removed.
func (s *Store) Prune(ctx context.Context, r Retention) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	var parts []jetstream.KeyValueEntry
	err := s.list(ctx, s.blobs(), func(e jetstream.KeyValueEntry) error {
		parts = append(parts, e)
		return nil
	}, jetstream.MetaOnly())
	if err != nil {
		return 0, err
	}
	head, _, err := s.head(ctx)
	if errors.Is(err, source.ErrNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	manifests, now, err := s.streamOf(ctx, s.manifests())
	if err != nil {
		return 0, err
	}
	named := map[source.Digest]bool{}
	add := func(g *source.Generation) {
		for _, f := range g.Manifest.Files {
			named[f.SHA256] = true
		}
	}
	add(head)
	var old []uint64 // revisions
	err = s.list(ctx, s.manifests(), func(e jetstream.KeyValueEntry) error {
		text, ok := strings.CutPrefix(e.Key(), "gen.")
		number, err := strconv.ParseUint(text, 10, 64)
		if !ok || err != nil || number >= head.Manifest.Number {
			return nil
		}
		// The key was written when the next generation was committed.
		if head.Manifest.Number-number >= uint64(max(r.Keep, 1)) && now.Sub(e.Created()) >= r.Younger {
			old = append(old, e.Revision())
			return nil
		}
		g, err := source.Decode(e.Value(), nil)
		if err != nil {
			return fmt.Errorf("nothing was removed: generation %d cannot be read: %w", number, err)
		}
		add(g)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for n, revision := range old {
		if err := s.remove(ctx, manifests, revision); err != nil {
			return n, err
		}
	}
	return len(old), s.removeParts(ctx, parts, named, now.Add(-cmp.Or(r.Grace, time.Hour)))
}

// removeParts removes the parts of files that no generation names, if they were written before then.
func (s *Store) removeParts(ctx context.Context, parts []jetstream.KeyValueEntry, named map[source.Digest]bool, then time.Time) error {
	blobs, _, err := s.streamOf(ctx, s.blobs())
	if err != nil {
		return err
	}
	for _, e := range parts {
		name := strings.Split(e.Key(), ".")
		var d source.Digest
		if len(name) != 3 || d.UnmarshalText([]byte(name[1])) != nil || named[d] || e.Created().After(then) {
			continue
		}
		// A part that was written again meanwhile has another revision, and stays.
		if err := s.remove(ctx, blobs, e.Revision()); err != nil {
			return err
		}
	}
	return nil
}

// streamOf returns the stream of a bucket, and the time by the clock of the server.
func (s *Store) streamOf(ctx context.Context, bucket string) (jetstream.Stream, time.Time, error) {
	ctx, cancel, err := s.request(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer cancel()
	stream, err := s.js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return nil, time.Time{}, s.explain(ctx, "find the bucket "+bucket, err)
	}
	now := stream.CachedInfo().TimeStamp
	if now.IsZero() {
		now = time.Now()
	}
	return stream, now, nil
}

// remove removes a revision of a key. It leaves no marker.
func (s *Store) remove(ctx context.Context, stream jetstream.Stream, revision uint64) error {
	ctx, cancel, err := s.request(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if err := stream.DeleteMsg(ctx, revision); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return s.explain(ctx, "remove an old revision", err)
	}
	return nil
}
