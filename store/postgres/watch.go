package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
)

// listener is the connection that all watches of a store share. It lives while there are watches, and a
// while longer: a node calls Watch again when it has loaded the generation that Watch reported.
type listener struct {
	mu      sync.Mutex // guards the fields below
	state   state
	changed chan struct{} // closed when state changes
	watches int
	stop    context.CancelFunc // of the goroutine; nil: it does not run
	done    chan struct{}      // closed when the goroutine has ended
	idle    *time.Timer        // stops the goroutine
	closed  bool
	last    [2]source.Digest // for the last watch that did not wait: the generation of its caller, and the newest
	repeats int              // how often in a row
}

// state is what the listener knows.
type state struct {
	connected bool          // a connection listens, or polls every second
	newest    source.Digest // of the manifest of the newest generation; zero: there is none
	err       error         // why there is no connection; nil: there is one, or the first is being made
	failures  int           // how often a connection was lost, or could not be made
}

// errClosed is returned by Watch after Close.
var errClosed = errors.New("postgres: the store is closed")

// Watch waits for another generation than have; see source.Source. It fails once when the connection is lost. The next
// Watch waits until there is one again, and returns nil then.
func (s *Store) Watch(ctx context.Context, have *source.Generation) error {
	if s.wrong != nil {
		return s.wrong
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	var haveDigest source.Digest
	if have != nil {
		haveDigest = have.Digest()
	}
	first, changed := s.current()
	for now := first; ; now, changed = s.current() {
		other := now.connected && now.newest != haveDigest && now.newest != source.Digest{}
		switch {
		case other && now == first && s.repeated(haveDigest, now.newest):
			// The caller does not get what this connection sees: the pool may lead to a standby that
			// lags. It must not poll without a pause.
			return s.pause(ctx, changed)
		case other || now.connected && now.failures != first.failures || now.connected && first.err != nil:
			return nil
		case now.err != nil && (first.err == nil || now.err == errClosed):
			return now.err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// repeated reports whether very many watches in a row have not waited, for the same reason.
func (s *Store) repeated(have, newest source.Digest) bool {
	l := &s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if pair := [2]source.Digest{have, newest}; pair != l.last {
		l.last, l.repeats = pair, 0
	}
	l.repeats++
	return l.repeats > 100
}

// pause waits until the state changes, but not longer than until the next poll.
func (s *Store) pause(ctx context.Context, changed <-chan struct{}) error {
	t := time.NewTimer(s.times.poll)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
	case <-t.C:
	}
	return nil
}

// current returns the state, and a channel that is closed when it changes.
func (s *Store) current() (state, <-chan struct{}) {
	l := &s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return state{err: errClosed}, l.changed
	}
	return l.state, l.changed
}

// set changes the state, and wakes the watches if it is another one.
func (l *listener) set(change func(*state)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.state
	if change(&now); now != l.state {
		l.state = now
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// enter counts a watch, and starts the listener if it does not run.
func (s *Store) enter() error {
	l := &s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	l.watches++
	if l.idle != nil {
		l.idle.Stop()
		l.idle = nil
	}
	if l.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		l.stop, l.done, l.state = stop, make(chan struct{}), state{}
		go s.follow(ctx, l.done)
	}
	return nil
}

// leave counts a watch that ends. The last one lets the listener stop after a while.
func (s *Store) leave() {
	l := &s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watches--; l.watches > 0 || l.closed {
		return
	}
	l.idle = time.AfterFunc(s.times.linger, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.watches == 0 && l.stop != nil {
			l.stop()
			l.stop = nil
		}
	})
}

// Close ends the connection that listens. Watches fail then; everything else works as long as the pool does. A
// store without a Watch needs no Close: it ends the connection within a minute.
func (s *Store) Close() {
	l := &s.listener
	l.mu.Lock()
	done := l.done
	if !l.closed {
		l.closed = true
		close(l.changed)
		l.changed = make(chan struct{})
	}
	if l.idle != nil {
		l.idle.Stop()
	}
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
	l.mu.Unlock()
	if done != nil {
		<-done
	}
}
