package mtlsguard

import (
	"context"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
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
	now, stable := waitUntilStable(ctx, tried)
	if now == nil || !due && now.Same(tried.Read) {
		return
	}
	_ = s.reload(ctx, false, stable) // it logs the error
}

// waitUntilStable waits until files that differ from a reading are no longer being written. It returns their
// content then, or nil if they keep changing, and a function that reports whether a later reading
// has the same content, and otherwise waits again.
func waitUntilStable(ctx context.Context, before *fileset.Reader) (now fileset.Set, stable func(*fileset.Reader) bool) {
	settled := func(f *fileset.Reader) fileset.Set {
		return fileset.Settled(ctx, f.Again, func(now fileset.Set) time.Duration { return now.Pause(before.Read) })
	}
	now = settled(before)
	last := now
	return now, func(f *fileset.Reader) bool {
		if last != nil && f.Read.Agrees(last) {
			return !f.Changed()
		}
		last = settled(f) // the content changed again, or a file is named for the first time
		return false
	}
}

// crlFetcher fetches the CRL files of the current generation before they expire. The
// watcher sees the changed files, and reloads.
type crlFetcher struct {
	server  *Server
	sources []crlfetch.Source
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// follow fetches the sources of g from now on, and no others.
func (f *crlFetcher) follow(ctx context.Context, g *site.Generation) {
	var sources []crlfetch.Source
	for _, p := range g.AllPorts() {
		for _, s := range p.Sources() {
			i := slices.IndexFunc(sources, func(other crlfetch.Source) bool { return s.File == other.File })
			if i < 0 {
				sources = append(sources, s)
				continue
			}
			// Ports may share a file. Each verifies the CRL by itself when it loads the file.
			sources[i].MaxBytes = max(sources[i].MaxBytes, s.MaxBytes)
			sources[i].Anchors = slices.Concat(sources[i].Anchors, s.Anchors)
			sources[i].Issuers = slices.Concat(sources[i].Issuers, s.Issuers)
		}
	}
	if slices.EqualFunc(sources, f.sources, sameSource) {
		return
	}
	f.stop()
	f.sources = sources
	ctx, f.cancel = context.WithCancel(ctx)
	fetcher := &crlfetch.Fetcher{Now: f.server.options.Now, OnError: func(x crlfetch.Failure) {
		f.server.events.LogWarnings([]configerror.Finding{{
			About: "trust", File: x.File, What: "the CRL " + x.URL + " cannot be fetched: " + x.Err.Error(), Hint: x.Progress.String(),
		}})
	}}
	f.server.fetcher.Store(fetcher)
	f.done.Go(func() { fetcher.Run(ctx, sources) })
}

// wake makes the fetcher look at the files now.
func (f *crlFetcher) wake() {
	if fetcher := f.server.fetcher.Load(); fetcher != nil {
		fetcher.Wake()
	}
}

func (f *crlFetcher) stop() {
	if f.cancel != nil {
		f.cancel()
		f.done.Wait()
	}
}

func sameSource(a, b crlfetch.Source) bool {
	return a.URL == b.URL && a.File == b.File && a.MaxBytes == b.MaxBytes && slices.EqualFunc(a.Anchors, b.Anchors, (*x509.Certificate).Equal) &&
		slices.EqualFunc(a.Issuers, b.Issuers, (*x509.Certificate).Equal)
}

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
