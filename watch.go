package mtlsguard

import (
	"context"
	"time"
)

// settle is how long files must stay as they are before a change is taken: a
// policy that is half written may be a whole one with the denying lines missing.
const settle = 200 * time.Millisecond

// watch reloads when the content of any named file changes. Content, not time
// stamps: those miss the swaps of mounted volumes and wake up for nothing.
func (s *Server) watch(ctx context.Context) {
	for {
		s.mu.Lock()
		every, tried := s.current.reload, s.tried
		s.mu.Unlock()
		if every == 0 {
			every = time.Hour // off; a reload by hand may turn it on
		}
		if !sleep(ctx, every) {
			return
		}
		if s.watches() && tried.changed() && s.settled(ctx, tried) {
			_ = s.Reload() // it has logged what it has to say
		}
	}
}

func (s *Server) watches() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.reload > 0
}

// settled waits until two readings in a row are the same. It gives up after a
// while: the next round will see the change again.
func (s *Server) settled(ctx context.Context, f *files) bool {
	for last, rounds := f.again(), 0; rounds < 20; rounds++ {
		if !sleep(ctx, settle) {
			return false
		}
		next := f.again()
		if next.same(last) {
			return true
		}
		last = next
	}
	return false
}

// sleep waits, and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
