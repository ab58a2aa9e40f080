package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard/source"
)

// lookTimeout bounds a heartbeat.
const lookTimeout = 3 * time.Second

// Watch implements source.Source. It returns an error when etcd does not answer a heartbeat. Called
// while etcd cannot be reached, it waits, and then returns nil: there may be another generation.
func (s *Store) Watch(ctx context.Context, have *source.Generation) error {
	if read := s.lastLoad(have); read != 0 { // no need to read it once more
		if again, err := s.listen(ctx, have, read+1); !again {
			return err
		}
	}
	waited := false
	for {
		read, news, err := s.look(ctx, have)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errUnreachable):
			waited = true
			continue
		case err != nil:
			return err
		case news || waited:
			return nil
		}
		// From here on every change after the revision that was read is received.
		again, err := s.listen(ctx, have, read+1)
		if !again {
			return err
		}
	}
}

// listen waits for a change of head from a revision on. again reports that the history of etcd does
// not reach back so far, so that head must be read again.
func (s *Store) listen(ctx context.Context, have *source.Generation, from int64) (again bool, err error) {
	client, err := s.connect()
	if err != nil {
		return false, err
	}
	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx)) // else a server without a cluster is silent
	defer cancel()
	begun := make(chan clientv3.WatchChan, 1)
	// Watch waits for the server, which heartbeats must not.
	go func() { begun <- client.Watch(watching, s.prefix+headKey, clientv3.WithRev(from)) }()
	var changes clientv3.WatchChan
	heartbeat := time.NewTicker(s.config.Heartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case changes = <-begun:
		case answer, open := <-changes:
			switch err := answer.Err(); {
			case ctx.Err() != nil:
				return false, ctx.Err()
			case errors.Is(err, rpctypes.ErrCompacted):
				return true, nil
			case err != nil:
				return false, fmt.Errorf("watch %s%s: %w", s.prefix, headKey, err)
			case !open:
				return false, fmt.Errorf("watch %s%s: the connection was closed", s.prefix, headKey)
			case len(answer.Events) > 0:
				return false, nil
			}
		case <-heartbeat.C:
			if _, news, err := s.look(ctx, have); err != nil || news {
				return false, err
			}
		}
	}
}

// errUnreachable is wrapped by the error of a read that etcd did not answer.
var errUnreachable = errors.New("etcd cannot be reached")

// look reads the newest generation, and compares it with have. It returns the revision of the store when it was
// read, and whether there is another generation. A connection without an answer is replaced by a new one.
func (s *Store) look(ctx context.Context, have *source.Generation) (read int64, news bool, err error) {
	client, err := s.connect()
	if errors.Is(err, errClosed) {
		return 0, false, err
	}
	if err != nil { // it has requested a token, for as long as DialTimeout
		_ = sleep(ctx, 100*time.Millisecond)
		return 0, false, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	within, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	g, _, read, err := s.generation(within, headKey, 0)
	switch {
	case errors.Is(err, source.ErrNone):
		return read, false, nil
	case err == nil:
		return read, !g.Same(have), nil
	case ctx.Err() != nil:
		return 0, false, ctx.Err()
	case within.Err() != nil:
		s.renew(client)
		return 0, false, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return 0, false, err
}
