package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/source"
)

const (
	lookTimeout = 3 * time.Second       // of a heartbeat
	hintPause   = 20 * time.Millisecond // the least duration of a watch that a message ends
)

// Watch implements source.Source. It returns an error when the connection is lost. Called without a
// connection, it waits for one, and then returns nil: there may be another generation.
func (s *Store) Watch(ctx context.Context, have *source.Generation) error {
	l := s.currentLink()
	if !l.connected {
		return s.awaitConnection(ctx, l)
	}
	begun := time.Now()
	hints := make(chan uint64, 1)
	sub, err := s.conn.Subscribe(s.headSubject(), func(m *nats.Msg) {
		revision, _ := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		select {
		case hints <- revision:
		default: // one is enough
		}
	})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", s.headSubject(), err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	seen, news, err := s.look(ctx, have)
	if err != nil || news {
		return err
	}
	heartbeat := time.NewTicker(s.config.Heartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case revision := <-hints:
			if revision > seen {
				// A client that may publish on the subject cannot keep nodes busy.
				return sleep(ctx, hintPause-time.Since(begun))
			}
		case <-heartbeat.C:
			if seen, news, err = s.look(ctx, have); err != nil || news {
				return err
			}
		case <-l.changed: // messages were missed, even if there is a connection again
			return fmt.Errorf("the connection was lost: %w", s.offline())
		}
	}
}

// awaitConnection waits for the connection.
func (s *Store) awaitConnection(ctx context.Context, l *link) error {
	for !l.connected {
		if s.conn.IsClosed() {
			return s.offline()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.changed:
			l = s.currentLink()
		}
	}
	return nil
}

// look reads the newest generation, and compares it with have. It returns the revision of head, and whether
// there is another generation. It makes sure that the server knows the subscriptions before it reads. A
// connection without an answer is replaced by a new one.
func (s *Store) look(ctx context.Context, have *source.Generation) (uint64, bool, error) {
	within, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := s.conn.FlushWithContext(within)
	if err == nil {
		var g *source.Generation
		var revision uint64
		g, revision, err = s.head(within)
		switch {
		case errors.Is(err, source.ErrNone):
			return 0, false, nil
		case err == nil:
			return revision, !g.Same(have), nil
		}
	}
	if ctx.Err() != nil {
		return 0, false, ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) && !s.answers(ctx) {
		_ = s.conn.ForceReconnect()
	}
	return 0, false, err
}

// answers reports whether the server answers a ping. If it does, a request without an answer is
// not the fault of the connection.
func (s *Store) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return s.conn.FlushWithContext(ctx) == nil
}
