package mtlsguard

import (
	"context"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
)

// remindInterval is the time between two looks at the clock.
const remindInterval = time.Second

// reminder logs what only the passing of time brings about: a certificate or CRL that ends. It
// is safe for concurrent use.
type reminder struct {
	server *Server

	mu         sync.Mutex
	generation *site.Generation
	logged     map[site.Reminder]time.Time // when each of the warnings that hold was logged last
}

// remind logs until ctx ends, also if no file is watched.
func (s *Server) remind(ctx context.Context) {
	var degraded []string
	for {
		s.reminder.log()
		s.logFailure()
		degraded = s.logDegraded(degraded)
		s.events.LogSuppressed(2 * time.Second)
		if !fileset.Sleep(ctx, remindInterval) {
			return
		}
	}
}

// log logs the warnings that hold and are due. After a reload those that are repeated are due
// at once.
func (r *reminder) log() {
	s := r.server
	current, now := s.currentGeneration(), s.options.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	reloaded := current != r.generation
	logged := map[site.Reminder]time.Time{}
	for _, w := range current.Reminders(now) {
		if _, twice := logged[w]; twice {
			continue // of another port
		}
		at, before := r.logged[w]
		if !before || w.Every > 0 && (reloaded || now.Sub(at) >= w.Every) {
			at = now
			s.events.LogWarnings([]configerror.Finding{r.withProgress(w)})
		}
		logged[w] = at
	}
	r.generation, r.logged = current, logged
}

// withProgress adds to the warning about a fetched file when it was fetched, and when it is
// tried again.
func (r *reminder) withProgress(w site.Reminder) configerror.Finding {
	if f := r.server.fetcher.Load(); w.Fetched && f != nil {
		if p := f.Progress(w.File); !p.NextTry.IsZero() {
			w.Hint += ", " + p.String()
		}
	}
	return w.Finding
}
