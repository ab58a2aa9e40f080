package mtlsguard

import (
	"context"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
)

// watch reloads when the content of a named file changes, until ctx ends. It also keeps the
// CRL files fresh.
func (s *Server) watch(ctx context.Context) {
	f := crlFetcher{server: s}
	defer f.stop()
	for {
		current := s.currentGeneration()
		f.follow(ctx, current)
		var tick <-chan time.Time // never fires if reload is 0
		if current.Reload > 0 {
			tick = time.After(current.Reload)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.reloaded: // the interval may have changed
			f.wake()
		case <-tick:
			s.look(ctx)
		}
	}
}

// look reloads if files have changed and are no longer being written, or if the last
// failed reload may succeed by now. A call of Reload ends it.
func (s *Server) look(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	if s.requests > 0 {
		s.mu.Unlock()
		return
	}
	s.stopLook = cancel
	s.mu.Unlock()
	s.reading.Lock()
	defer s.reading.Unlock()
	tried := s.tried // only a reload writes it
	due := !tried.Retry.IsZero() && !s.options.now().Before(tried.Retry)
	if !due && !tried.Changed() {
		return
	}
	settled := func(f *fileset.Reader) fileset.Set {
		return fileset.Settled(ctx, f.Again, func(now fileset.Set) time.Duration { return now.Pause(tried.Read) })
	}
	stable := settled(tried)
	if stable == nil || !due && stable.Same(tried.Read) {
		return
	}
	_ = s.reload(ctx, func(f *fileset.Reader) bool { // reload logs the error
		if stable != nil && f.Read.Agrees(stable) {
			return !f.Changed()
		}
		stable = settled(f) // the content changed again, or a file is named for the first time
		return false
	})
}
