package mtlsguard

import (
	"context"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
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
		every := current.Reload
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
		s.events.LogSuppressed(2 * time.Second)
		if !fileset.Sleep(ctx, remindEvery) {
			return
		}
	}
}

// alarm tells of CRLs that should have been replaced by now, each once, however many
// ports have it: early enough for somebody to look why. It returns what is told.
func (s *Server) alarm(g *site.Generation, told map[string]bool) map[string]bool {
	aging := map[string]bool{}
	for _, p := range g.AllPorts() {
		for _, t := range p.Trusts() {
			for _, w := range trustaccess.AgingCRLs(t.Verifier) {
				if !told[w] && !aging[w] {
					s.events.LogWarnings([]string{w})
				}
				aging[w] = true
			}
		}
	}
	return aging
}

// look reloads if there is a change that has settled, or if what failed before may load
// by now. What is put in force is what has settled, not what was begun to be written
// right after.
func (s *Server) look(ctx context.Context) {
	s.mu.Lock()
	tried := s.tried
	s.mu.Unlock()
	due := !tried.Retry.IsZero() && !s.options.now().Before(tried.Retry)
	if !due && !tried.Changed() {
		return
	}
	settled := func(f *fileset.Reader) fileset.Set {
		return fileset.Settled(ctx, f.Again, func(now fileset.Set) time.Duration { return now.Pause(tried.Read) })
	}
	calm := settled(tried)
	if calm == nil || !due && calm.Same(tried.Read) {
		return
	}
	_ = s.reload(ctx, func(f *fileset.Reader) bool { // it logs what it has to say
		if calm != nil && f.Read.Agrees(calm) {
			return !f.Changed()
		}
		calm = settled(f) // changed again, or a file that nobody has watched yet
		return false
	})
}
