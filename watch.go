package mtlsguard

import (
	"context"
	"time"
)

// How long files must stay as they are before a change is taken: a policy that is
// half written may be a whole one with the denying lines missing. Half a PEM block
// is none, so revoking need not wait for that.
const (
	settleText = 500 * time.Millisecond
	settlePEM  = 100 * time.Millisecond
)

// watch reloads when the content of any named file changes. Content, not time
// stamps: those miss the swaps of mounted volumes and wake up for nothing.
func (s *Server) watch(ctx context.Context) {
	f := fetching{server: s}
	defer f.stop()
	aged := map[uint64]bool{}
	for {
		s.mu.Lock()
		current := s.current
		s.mu.Unlock()
		f.follow(ctx, current)
		every := current.reload
		var tick <-chan time.Time // never, where watching is off
		if every > 0 {
			tick = time.After(every)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.reloaded: // the interval may be another one now
		case <-tick:
			s.alarm(current, aged)
			s.look(ctx)
		}
	}
}

// alarm tells of CRLs that should have been replaced by now, once for each trust:
// early enough for somebody to look why.
func (s *Server) alarm(g *generation, told map[uint64]bool) {
	for _, p := range g.ports {
		if v := p.config.Trust; v != nil && !told[v.Generation()] {
			if aging := v.Aging(); len(aging) > 0 {
				told[v.Generation()] = true
				s.events.warnings(aging)
			}
		}
	}
}

// look reloads if there is a change that has settled.
func (s *Server) look(ctx context.Context) {
	s.mu.Lock()
	tried := s.tried
	s.mu.Unlock()
	if !tried.changed() || !settled(ctx, tried) {
		return
	}
	_ = s.reload(func(f *files) bool { // it logs what it has to say
		if !tried.covers(f) && !sleep(ctx, settleText) {
			return false // files that nobody has watched yet
		}
		return !f.changed()
	})
}

// settled waits until two readings in a row are the same. It gives up after a
// while: the next round will see the change again.
func settled(ctx context.Context, f *files) bool {
	for last, rounds := f.again(), 0; rounds < 20; rounds++ {
		pause := settlePEM
		if last.textDiffers(f) {
			pause = settleText
		}
		if !sleep(ctx, pause) {
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
