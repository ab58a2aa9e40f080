package follow_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/follow"
	"github.com/mtlsguard/mtlsguard/source"
)

// stuck is a source whose Load does not end with its context, while it is held.
type stuck struct {
	source.Store
	held atomic.Pointer[chan struct{}]
}

func (s *stuck) Load(ctx context.Context, have *source.Generation) (*source.Generation, error) {
	if held := s.held.Load(); held != nil {
		<-*held
	}
	return s.Store.Load(ctx, have)
}

// A source that hangs is reported, is queried again when it continues, and does not keep a node from
// stopping.
// Covers S17.
func TestNodeDoesNotWaitForALoadThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var s *stuck
		n := newNode(t, time.Second, func(store source.Store) source.Source {
			s = &stuck{Store: store}
			return s
		})
		n.waitFor(n.commit())
		s.held.Store(&hang)
		time.Sleep(15 * time.Second)
		if down := n.count(follow.Unreachable); down != 1 || n.State().Connected {
			t.Errorf("%d outages, state %+v", down, n.State())
		}
		s.held.Store(nil)
		close(hang)
		number := n.commit()
		time.Sleep(20 * time.Second)
		if got := n.State().InEffect.Manifest.Number; got != number || n.count(follow.Reachable) != 1 {
			t.Errorf("generation %d is in effect afterwards, want %d", got, number)
		}
		again := make(chan struct{})
		s.held.Store(&again)
		time.Sleep(3 * time.Second)
		n.stop()
		close(again)
	})
}

// stuckBlobs is a store whose files hang when they are opened or read, whatever their context is, while
// it is held.
type stuckBlobs struct {
	source.Store
	held    atomic.Pointer[chan struct{}]
	reading bool // hang after the first byte
	hanging atomic.Int32
}

func (s *stuckBlobs) Load(ctx context.Context, have *source.Generation) (*source.Generation, error) {
	g, err := s.Store.Load(ctx, have)
	if err != nil || g == have {
		return g, err
	}
	return source.New(g.Raw, g.Signatures, func(ctx context.Context, f source.File) (io.ReadCloser, error) {
		held := s.held.Load()
		if held == nil {
			return g.Open(ctx, f)
		}
		if s.reading {
			return io.NopCloser(io.MultiReader(&firstByte{}, stuckReader{s, held})), nil
		}
		s.hang(held)
		return nil, io.ErrUnexpectedEOF
	})
}

func (s *stuckBlobs) hang(held *chan struct{}) {
	s.hanging.Add(1)
	defer s.hanging.Add(-1)
	<-*held
}

// firstByte is a reader of one byte.
type firstByte struct{ done bool }

func (b *firstByte) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	b.done = true
	p[0] = 'x'
	return 1, nil
}

// stuckReader is a reader that hangs.
type stuckReader struct {
	*stuckBlobs
	held *chan struct{}
}

func (r stuckReader) Read([]byte) (int, error) {
	r.hang(r.held)
	return 0, io.ErrUnexpectedEOF
}

// A file that hangs is reported after 30 s and requested again, with a bound on the reads that are left alone. It keeps
// a node neither from a newer generation nor from stopping.
// Covers S17.
func TestNodeDoesNotWaitForAFileThatHangs(t *testing.T) {
	t.Parallel()
	for name, reading := range map[string]bool{"it hangs when it is opened": false, "it hangs when it is read": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &stuckBlobs{reading: reading}
				n := newNode(t, time.Second, func(store source.Store) source.Source {
					s.Store = store
					return s
				})
				n.waitFor(n.commit())
				hang := make(chan struct{})
				s.held.Store(&hang)
				n.commit()
				time.Sleep(35 * time.Second)
				if n.count(follow.NotKept) == 0 || n.State().Err == nil {
					t.Errorf("it was not reported: %+v", n.State())
				}
				time.Sleep(5 * time.Minute)
				if got := s.hanging.Load(); got != 4 {
					t.Errorf("%d reads hang, want the bound, 4", got)
				}
				s.held.Store(nil)
				close(hang)
				number := n.commit()
				time.Sleep(20 * time.Second)
				if got := n.State().InEffect.Manifest.Number; got != number {
					t.Errorf("generation %d is in effect when files come again, want %d", got, number)
				}
				again := make(chan struct{})
				s.held.Store(&again)
				n.commit()
				time.Sleep(3 * time.Second)
				began := time.Now()
				n.stop()
				if took := time.Since(began); took > time.Second {
					t.Errorf("the node stopped after %s", took)
				}
				close(again)
			})
		})
	}
}

// stuckReports is a store that never takes a report, while it is held.
type stuckReports struct {
	source.Store
	held  chan struct{}
	calls atomic.Int32
}

func (s *stuckReports) PutReport(context.Context, source.Report) error {
	s.calls.Add(1)
	<-s.held
	return nil
}

// A report that hangs delays no generation, and does not keep a node from stopping.
// Covers S17.
func TestNodeDoesNotWaitForAReportThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stuckReports{held: make(chan struct{})}
		n := newNode(t, time.Second, func(store source.Store) source.Source {
			s.Store = store
			return s
		})
		for range 3 {
			number := n.commit()
			time.Sleep(500 * time.Millisecond)
			if got := n.State().InEffect.Manifest.Number; got != number {
				t.Errorf("generation %d is in effect after half a second, want %d", got, number)
			}
		}
		time.Sleep(5 * time.Minute)
		began := time.Now()
		n.stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("the node stopped after %s", took)
		}
		if got := s.calls.Load(); got != 1 {
			t.Errorf("%d reports hang, want 1", got)
		}
		close(s.held)
	})
}
