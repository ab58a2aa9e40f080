package crlfetch

import (
	"context"
	"crypto/x509"
	"os"
	"time"
)

// renewal renews the file of one source. Its schedule follows the list in the file, whatever program
// put it there: an operator may put a list of a shorter life into it.
type renewal struct {
	fetcher  *Fetcher
	source   Source
	last     lastAnswer
	seen     os.FileInfo          // the file at the last look; nil if it was absent
	list     *x509.RevocationList // in the file, only its dates; nil if there is none
	expired  bool                 // the list had expired at the last look
	failures int                  // since the last success
	next     time.Time            // of the next fetch, by the system's clock
	progress Progress
}

// renew renews the file of a source until ctx ends.
func (f *Fetcher) renew(ctx context.Context, s Source) {
	wake := f.addWaker(s.File)
	defer f.removeWaker(s.File)
	r := &renewal{fetcher: f, source: s}
	r.look(true)
	if r.isCurrent() {
		r.schedule(shortestWait)
	}
	for {
		timer := time.NewTimer(min(lookEvery, time.Until(r.next)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-wake:
			timer.Stop()
			if r.look(false); !r.isCurrent() {
				r.next = time.Now()
			}
		case <-timer.C:
			r.look(false)
		}
		if time.Now().Before(r.next) {
			continue
		}
		err := r.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && f.OnError != nil {
			f.OnError(Failure{Source: s, Progress: r.progress, Err: err})
		}
	}
}

// look schedules the next fetch by the list in the file, if the file has changed or its list
// has expired since the last look.
func (r *renewal) look(first bool) {
	info, err := os.Stat(r.source.File)
	if err != nil {
		info = nil
	}
	if first || !sameState(info, r.seen) {
		r.seen, r.list = info, nil
		if data, err := readFile(r.source.File); err == nil {
			if list, err := parseFile(r.source.File, data); err == nil && list != nil {
				r.list = datesOf(list)
			}
		}
		r.failures = 0
		if r.isCurrent() {
			r.schedule(r.fetcher.untilNext(r.list))
		} else {
			r.schedule(firstWait)
		}
	} else if r.list != nil && !r.isCurrent() && !r.expired {
		r.schedule(firstWait) // it expires only now: a slept machine, or a clock that was set
	}
	r.expired = r.list != nil && !r.isCurrent()
}

// isCurrent reports whether the file holds a list that has not expired.
func (r *renewal) isCurrent() bool { return r.list != nil && !r.fetcher.isExpired(r.list) }

// fetch fetches the list, and schedules the next fetch.
func (r *renewal) fetch(ctx context.Context) error {
	_, answer, err := r.fetcher.fetch(ctx, r.source, r.last)
	r.last = answer // the zero value after a failure: then the whole list is fetched again
	if err != nil {
		wait := retryAfter
		if !r.isCurrent() {
			wait = min(retryFirst<<min(r.failures, 10), retryAfter)
		}
		r.failures++
		r.progress.LastError = err
		r.schedule(wait)
		return err
	}
	r.progress.LastSuccess, r.progress.LastError = r.fetcher.now(), nil
	r.look(true) // not by the fetched list: the file may have been replaced meanwhile
	return nil
}

// schedule sets the time of the next fetch.
func (r *renewal) schedule(wait time.Duration) {
	wait = jitter(wait)
	r.next = time.Now().Add(wait)
	r.progress.NextTry = r.fetcher.now().Add(wait)
	f := r.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.progress == nil {
		f.progress = map[string]Progress{}
	}
	f.progress[r.source.File] = r.progress
}

func (f *Fetcher) addWaker(file string) chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wakers == nil {
		f.wakers = map[string]chan struct{}{}
	}
	wake := make(chan struct{}, 1)
	f.wakers[file] = wake
	return wake
}

func (f *Fetcher) removeWaker(file string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.wakers, file)
}

// sameState reports whether a file has the same content at two looks, as far as its dates and
// its size show. nil is an absent file.
func sameState(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
