package follow_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/follow"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

// node is a follower whose configuration is a number.
type node struct {
	testing.TB
	*follow.Follower
	store  *sourcetest.Memory
	newest *source.Generation
	keep   string // a folder
	stop   func() // waits for the end of Run

	mu     sync.Mutex
	events []follow.Kind
	refuse map[uint64]time.Time // numbers that do not load, until a time
}

// newNode returns a node that follows what wrap makes of its store. It has generation 1, and runs.
func newNode(t *testing.T, poll time.Duration, wrap func(source.Store) source.Source) *node {
	n := &node{TB: t, store: sourcetest.NewMemory("orders"), refuse: map[uint64]time.Time{}, keep: t.TempDir()}
	n.commit()
	n.Follower = follow.New(follow.Config{
		Source: wrap(n.store), Keep: source.OpenKeep(n.keep), Node: "node", Now: time.Now,
		Check: func(*source.Generation) error { return nil },
		Poll:  func() time.Duration { return poll },
		Lines: func(err error) []string { return []string{err.Error()} },
		Apply: func(_ context.Context, g *source.Generation) (time.Time, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if until, ok := n.refuse[g.Manifest.Number]; ok && (until.IsZero() || time.Now().Before(until)) {
				return until, errors.New("it does not load")
			}
			return time.Time{}, nil
		},
		OnEvent: func(e follow.Event) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.events = append(n.events, e.Kind)
		},
	})
	if err := n.Start(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Run(ctx) }()
	n.stop = func() { cancel(); <-ended }
	t.Cleanup(n.stop)
	return n
}

// commit commits the next generation, and returns its number.
func (n *node) commit() uint64 {
	n.Helper()
	g, err := source.Next(n.newest, source.Manifest{Fleet: "orders", Author: "anna"}, fstest.MapFS{"a": {Data: []byte(rand.Text())}})
	if err != nil {
		n.Fatal(err)
	}
	if err := n.store.Commit(n.Context(), g); err != nil {
		n.Fatal(err)
	}
	n.newest = g
	return g.Manifest.Number
}

// waitFor waits until a generation is in effect.
func (n *node) waitFor(number uint64) {
	n.Helper()
	testkit.Eventually(n.TB, fmt.Sprintf("generation %d", number), func() bool { return n.State().InEffect.Manifest.Number == number })
}

// count returns how often something has happened.
func (n *node) count(kind follow.Kind) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(n.events), func(k follow.Kind) bool { return k != kind }))
}

// watched is a store with another Watch.
type watched struct {
	source.Store
	watch func(ctx context.Context, have *source.Generation) error
}

func (w watched) Watch(ctx context.Context, have *source.Generation) error { return w.watch(ctx, have) }

// Whatever a watch does, the source is polled.
func TestSourceIsAskedWhateverItsWatchDoes(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	for name, watch := range map[string]func(ctx context.Context, have *source.Generation) error{
		"it cannot watch":                  func(context.Context, *source.Generation) error { return source.ErrUnsupported },
		"it fails at once":                 func(context.Context, *source.Generation) error { return errors.New("no LISTEN") },
		"it ends for no reason, at once":   func(context.Context, *source.Generation) error { return nil },
		"it gets no notification":          func(ctx context.Context, _ *source.Generation) error { <-ctx.Done(); return ctx.Err() },
		"it does not end with its context": func(context.Context, *source.Generation) error { <-end; return nil },
		"it has a deadline of its own":     func(context.Context, *source.Generation) error { return context.DeadlineExceeded },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, 50*time.Millisecond, func(s source.Store) source.Source { return watched{s, watch} })
			for range 3 {
				n.waitFor(n.commit())
			}
			if !n.State().Connected {
				t.Errorf("state: %+v", n.State())
			}
		})
	}
}

// A source that answers and announces nothing is one event, not one for each poll.
func TestUnannouncedChangesAreOneEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var watches atomic.Int32
		n := newNode(t, time.Minute, func(s source.Store) source.Source {
			return watched{s, func(context.Context, *source.Generation) error { watches.Add(1); return errors.New("no LISTEN") }}
		})
		testkit.Eventually(t, "some watches", func() bool { return watches.Load() > 3 })
		if got := n.count(follow.NotHeard); got != 1 {
			t.Errorf("%d events", got)
		}
		if s := n.State(); s.Err == nil || !s.Connected {
			t.Errorf("state: %+v", s)
		}
	})
}

// A refused generation is not tried again by itself, and at once after Retry or at its time.
func TestRefusedGenerationIsTriedAgainWithAReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20*time.Millisecond, func(s source.Store) source.Source { return s })
		n.refuse[2] = time.Time{}
		n.commit()
		refusals := func() int { return n.count(follow.Refused) }
		testkit.Eventually(t, "generation 2 to be refused", func() bool { return refusals() == 1 })
		heard := n.State().Heard
		testkit.Eventually(t, "some looks", func() bool { return n.State().Heard.Sub(heard) > 100*time.Millisecond })
		if got := refusals(); got != 1 {
			t.Errorf("it was tried %d times", got)
		}
		n.Retry()
		testkit.Eventually(t, "another try", func() bool { return refusals() == 2 })
		n.mu.Lock()
		delete(n.refuse, 2)
		n.mu.Unlock()
		n.Retry()
		n.waitFor(2)

		n.mu.Lock()
		n.refuse[3] = time.Now().Add(300 * time.Millisecond)
		n.mu.Unlock()
		n.commit()
		testkit.Eventually(t, "generation 3 to be refused", func() bool { return refusals() == 3 })
		n.waitFor(3)
		if s := n.State(); s.Refused != nil || s.Err != nil {
			t.Errorf("state: %+v", s)
		}
	})
}

// Of many generations the newest wins, and each commit is seen.
func TestNewestWins(t *testing.T) {
	t.Parallel()
	n := newNode(t, time.Minute, func(s source.Store) source.Source { return s })
	var last uint64
	for range 50 {
		last = n.commit()
	}
	n.waitFor(last)
}

// An outage is two events, however long it lasts, and a report that was not taken follows later.
func TestOutageIsTwoEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20*time.Millisecond, func(s source.Store) source.Source { return s })
		for range 2 {
			n.store.Break(io.ErrUnexpectedEOF)
			testkit.Eventually(t, "the outage", func() bool { return !n.State().Connected })
			n.store.Break(nil)
			n.waitFor(n.commit())
		}
		if down, up := n.count(follow.Unreachable), n.count(follow.Reachable); down != 2 || up != 2 {
			t.Errorf("%d outages began, and %d ended", down, up)
		}
		testkit.Eventually(t, "the report", func() bool {
			reports, err := n.store.Reports(t.Context())
			return err == nil && len(reports) == 1 && reports[0].Number == n.newest.Manifest.Number
		})
	})
}

// After a long outage the pauses between two polls are long. A source whose watch ends when it is
// back is asked at once.
func TestWatchEndsAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		back := make(chan struct{})
		n := newNode(t, time.Second, func(s source.Store) source.Source {
			return watched{s, func(ctx context.Context, have *source.Generation) error {
				if !down.Load() {
					return s.Watch(ctx, have)
				}
				select {
				case <-back:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}}
		})
		down.Store(true)
		n.store.Break(io.ErrUnexpectedEOF)
		time.Sleep(5*time.Minute + 123*time.Millisecond)
		n.store.Break(nil)
		number := n.commit()
		close(back)
		time.Sleep(50 * time.Millisecond)
		if got := n.State().InEffect.Manifest.Number; got != number {
			t.Errorf("generation %d is in effect 50 ms after the end of the outage, want %d", got, number)
		}
	})
}

// Nodes begin to fetch a large file at random moments, so that they do not all load the store at once. A small change
// beside a large file does not wait.
func TestASmallChangeBesideALargeFileDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, time.Minute, func(s source.Store) source.Source { return s })
		large := make([]byte, 1<<20)
		commit := func(large, small string) time.Duration {
			t.Helper()
			g, err := source.Next(n.newest, source.Manifest{Fleet: "orders", Author: "anna"}, fstest.MapFS{"large": {Data: []byte(large)}, "small": {Data: []byte(small)}})
			if err != nil {
				t.Fatal(err)
			}
			if err := n.store.Commit(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			n.newest = g
			began := time.Now()
			for n.State().InEffect.Manifest.Number != g.Manifest.Number {
				time.Sleep(time.Millisecond)
			}
			return time.Since(began)
		}
		var spread, small time.Duration
		for i := range 10 {
			spread = max(spread, commit(string(large[:len(large)-i]), "1"))
			time.Sleep(time.Second)
			small = max(small, commit(string(large[:len(large)-i]), "2"))
			time.Sleep(time.Second)
		}
		if spread < 20*time.Millisecond || small > 15*time.Millisecond { // a watch pauses for 10 ms
			t.Errorf("large changes took up to %v, and small ones %v", spread, small)
		}
	})
}
