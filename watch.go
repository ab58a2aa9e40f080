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
	settleCut  = 1500 * time.Millisecond // a text whose last line had an end and has none now
	settlePEM  = 100 * time.Millisecond
)

// watch reloads when the content of any named file changes. Content, not time
// stamps: those miss the swaps of mounted volumes and wake up for nothing.
func (s *Server) watch(ctx context.Context) {
	f := fetching{server: s}
	defer f.stop()
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
			s.look(ctx)
		}
	}
}

// remindEvery is how often remind looks. It costs next to nothing.
const remindEvery = time.Second

// remind tells what only time brings about, also where no file is watched.
func (s *Server) remind(ctx context.Context) {
	var told map[string]bool
	for {
		s.mu.Lock()
		current := s.current
		s.mu.Unlock()
		told = s.alarm(current, told)
		s.events.leftOut(2 * time.Second)
		if !sleep(ctx, remindEvery) {
			return
		}
	}
}

// alarm tells of CRLs that should have been replaced by now, each once, however many
// ports have it: early enough for somebody to look why. It returns what is told.
func (s *Server) alarm(g *generation, told map[string]bool) map[string]bool {
	aging := map[string]bool{}
	for _, p := range g.all() {
		for _, t := range p.trusts() {
			for _, w := range t.verifier.Aging() {
				if !told[w] && !aging[w] {
					s.events.warnings([]string{w})
				}
				aging[w] = true
			}
		}
	}
	return aging
}

// look reloads if there is a change that has settled. What is put in force is what
// has settled, not what was begun to be written right after.
func (s *Server) look(ctx context.Context) {
	s.mu.Lock()
	tried := s.tried
	s.mu.Unlock()
	if !tried.changed() {
		return
	}
	calm := settled(ctx, tried, tried)
	if calm == nil || calm.same(tried) {
		return
	}
	_ = s.reload(ctx, func(f *files) bool { // it logs what it has to say
		if calm != nil && f.agrees(calm) {
			return !f.changed()
		}
		calm = settled(ctx, f, tried) // changed again, or a file that nobody has watched yet
		return false
	})
}

// settled reads what f names until two readings in a row are the same, and returns
// the last. How far apart they are depends on what differs from old. It gives up
// after a while, with nil: the next round will see the change again.
func settled(ctx context.Context, f, old *files) *files {
	for last, rounds := f.again(), 0; rounds < 20; rounds++ {
		if !sleep(ctx, pause(last, old)) {
			return nil
		}
		next := f.again()
		if next.same(last) {
			return next
		}
		last = next
	}
	return nil
}

// pause is how long what now differs from old must stay as it is.
func pause(now, old *files) time.Duration {
	switch {
	case now.cutDiffers(old):
		return settleCut
	case now.textDiffers(old):
		return settleText
	}
	return settlePEM
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
