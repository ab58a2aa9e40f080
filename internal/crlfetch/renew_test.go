package crlfetch_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
)

// The schedule follows the list in the file, whichever program wrote it.
func TestScheduleFollowsTheFile(t *testing.T) {
	for _, row := range []struct {
		name  string
		put   func(w *world) []byte // into the file, an hour after the first fetch; nil removes it
		until time.Duration         // the next request comes within this time
	}{
		{"a list of a shorter life", func(w *world) []byte { return w.list(2, dated(-time.Minute, 10*time.Minute)) }, 9 * time.Minute},
		{"a list that has expired", func(w *world) []byte { return w.list(2, dated(-time.Hour, -time.Second)) }, 10 * time.Second},
		{"a list that ends in three seconds", func(w *world) []byte { return w.list(2, dated(-time.Hour, 3*time.Second)) }, 15 * time.Second},
		{"half a file", func(w *world) []byte { return w.list(2)[:50] }, 10 * time.Second},
		{"nothing", func(w *world) []byte { return nil }, 10 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := bubble(t)
				w.give(w.list(1, dated(-time.Minute, 30*24*time.Hour)))
				w.run(t)
				w.wantRequests(t, time.Hour, 1, 1)
				if data := row.put(w); data != nil {
					w.put(t, data)
				} else {
					w.remove(t)
				}
				good := w.list(3, dated(-time.Minute, 30*24*time.Hour))
				w.give(good)
				w.wantRequests(t, row.until, 2, 2)
				w.holds(t, good)
				w.wantRequests(t, 4*time.Hour, 2, 2)
			})
		})
	}
}

// An expired list is fetched at once, then with backoff; each failure says when the
// list was last fetched and when it is tried again.
func TestExpiredListIsFetchedAtOnceThenWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubble(t)
		w.give(w.list(1))
		w.run(t)
		w.wantRequests(t, time.Minute, 1, 1)
		fetched := time.Now().Add(-time.Minute)
		w.use(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) })
		w.put(t, w.list(2, dated(-time.Hour, -time.Second)))
		w.wantRequests(t, 6*time.Second, 2, 3) // the file is looked at every 5 s, and the first failure is tried again after 5 s
		w.wantRequests(t, time.Minute, 4, 6)
		w.wantRequests(t, 10*time.Minute, 13, 18)
		for _, x := range w.reports() {
			if since := x.LastSuccess.Sub(fetched).Abs(); since > 2*time.Second || x.NextTry.Before(time.Now().Add(-15*time.Minute)) || x.File != w.source.File {
				t.Errorf("last fetched at %v, next try at %v, file %s", x.LastSuccess, x.NextTry, x.File)
			}
		}
		last := w.reports()[len(w.reports())-1]
		if wait := time.Until(last.NextTry); wait <= 0 || wait > time.Minute {
			t.Errorf("the next try is in %v", wait)
		}
		if got := w.fetcher.Progress(w.source.File); got != last.Progress {
			t.Errorf("the progress is %v, the last failure has %v", got, last.Progress)
		}
	})
}

// A reload tries again at once.
func TestWakeFetchesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubble(t)
		w.use(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) })
		w.run(t)
		w.wantRequests(t, 10*time.Minute, 13, 18)
		n := w.requests()
		w.give(w.list(1))
		w.fetcher.Wake()
		w.wantRequests(t, 0, n+1, n+1)
		w.fetcher.Wake() // the list is current: nothing to do
		w.wantRequests(t, time.Hour, n+1, n+1)
		if got := w.fetcher.Progress("elsewhere"); got != (crlfetch.Progress{}) {
			t.Errorf("the progress of another file is %v, want %v", got, (crlfetch.Progress{}))
		}
	})
}
