package crlfetch_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

func TestNextFetchDependsOnTheLifetime(t *testing.T) {
	now := time.Now()
	f := &crlfetch.Fetcher{Now: func() time.Time { return now }}
	const minute, hour, day = time.Minute, time.Hour, 24 * time.Hour
	for _, row := range []struct {
		name            string
		life, age, want time.Duration
	}{
		{"a week, new", 7 * day, 0, 6 * hour},
		{"a week, a tenth of it is due", 7 * day, 7*day - 17*hour, 168*hour - 16*hour - 48*minute - (168*hour - 17*hour)},
		{"a day, new", day, 0, 6 * hour},
		{"a day, two and a half hours to go", day, 21*hour + 30*minute, 6 * minute},
		{"six hours, new", 6 * hour, 0, 5 * hour},
		{"two hours, new", 2 * hour, 0, hour},
		{"an hour, new", hour, 0, 30 * minute},
		{"ten minutes, new", 10 * minute, 0, 5 * minute},
		{"a minute, new", minute, 0, 30 * time.Second},
		{"ten seconds, new", 10 * time.Second, 0, 30 * time.Second},
		{"a week, due, ten hours to go", 7 * day, 7*day - 10*hour, hour},
		{"a week, due, two hours to go", 7 * day, 7*day - 2*hour, 12 * minute},
		{"a week, due, a minute to go", 7 * day, 7*day - minute, 30 * time.Second},
		{"past", hour, 2 * hour, 30 * time.Second},
		{"ten years", 3650 * day, 0, 6 * hour},
	} {
		list := &x509.RevocationList{ThisUpdate: now.Add(-row.age), NextUpdate: now.Add(row.life - row.age)}
		got := f.UntilNext(list)
		if got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
		if left := row.life - row.age; left > time.Minute && got > left*9/10 {
			t.Errorf("%s: %v is too late, with %v to go", row.name, got, left)
		}
		for range 100 {
			if j := crlfetch.Jitter(got); j > got || j < got*8/10 {
				t.Fatalf("%s: jitter changed %v to %v", row.name, got, j)
			}
		}
	}
	if got := f.UntilNext(&x509.RevocationList{ThisUpdate: now}); got != hour {
		t.Errorf("no next update: %v", got)
	}
}

// bubble returns a world on the clock of synctest, without sockets.
func bubble(t *testing.T) *world {
	w := &world{ca: testpki.NewCA("Client CA"), fetcher: &crlfetch.Fetcher{}}
	w.fetcher.OnError = w.recordError
	w.fetcher.Client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		return rec.Result(), nil
	})}
	w.source = crlfetch.Source{URL: "http://ca.test/ca.crl", File: filepath.Join(t.TempDir(), "ca.crl"), Anchors: []*x509.Certificate{w.ca.Cert}}
	return w
}

// run runs the fetcher until the test ends. synctest checks that no goroutine is left.
func (w *world) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.fetcher.Run(ctx, []crlfetch.Source{w.source}); close(done) }()
	t.Cleanup(func() {
		cancel()
		synctest.Wait()
		select {
		case <-done:
		default:
			t.Error("Run goes on after its context has ended")
		}
	})
}

// wantRequests lets time pass and checks the number of requests since the start.
func (w *world) wantRequests(t *testing.T, after time.Duration, least, most int) {
	t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if n := w.requests(); n < least || n > most {
		t.Fatalf("%d requests, want %d to %d", n, least, most)
	}
}

func TestRunFetchesAtOnceWhereNothingIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubble(t)
		list := w.list(1)
		w.give(list)
		w.run(t)
		w.wantRequests(t, time.Second, 1, 1)
		w.holds(t, list)
		w.wantRequests(t, 4*time.Hour, 1, 1)
		w.wantRequests(t, 2*time.Hour, 2, 2)
	})
	synctest.Test(t, func(t *testing.T) {
		w := bubble(t)
		w.put(t, w.list(1, dated(-time.Hour, -time.Minute)))
		w.give(w.list(2))
		w.run(t)
		w.wantRequests(t, time.Second, 1, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		w := bubble(t)
		w.put(t, w.list(1))
		w.give(w.list(2))
		w.run(t)
		w.wantRequests(t, 23*time.Second, 0, 0) // a valid list can wait: many servers may start together
		w.wantRequests(t, 7*time.Second, 1, 1)
	})
}

func TestRunAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubble(t)
		w.use(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) })
		w.run(t)
		w.wantRequests(t, 10*time.Minute, 13, 18) // after 5, 10, 20 and 40 s, then each minute
		if failed := w.failures(); len(failed) != w.requests() || !strings.Contains(failed[0].Error(), "503") {
			t.Errorf("errors %v", failed)
		}
		w.give(w.list(1))
		n := w.requests()
		w.wantRequests(t, time.Minute, n+1, n+1)
	})
}

// A list valid for a day that the CA renews every twelve hours is always replaced early.
func TestRunIsEarlyEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubble(t)
		w.use(func(rw http.ResponseWriter, _ *http.Request) {
			half := time.Now().Unix() / (12 * 3600)
			this := time.Unix(half*12*3600, 0)
			rw.Write(w.list(half, func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = this, this.Add(24*time.Hour) })) // a test's server
		})
		w.run(t)
		time.Sleep(time.Second)
		for range 7 * 24 {
			time.Sleep(time.Hour)
			synctest.Wait()
			data, err := os.ReadFile(w.source.File)
			if err != nil {
				t.Fatal(err)
			}
			list, err := x509.ParseRevocationList(data)
			if err != nil || time.Until(list.NextUpdate) < 6*time.Hour-10*time.Second {
				t.Fatalf("next update in %v, %v", time.Until(list.NextUpdate), err)
			}
		}
		if n := w.requests(); n > 50 {
			t.Errorf("%d requests in a week", n)
		}
	})
}

// A CA that renews in the last minute gets few requests in the hours before.
func TestRunDoesNotFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubble(t)
		w.give(w.list(1, dated(-time.Second, 7*24*time.Hour)))
		w.run(t)
		time.Sleep(7*24*time.Hour - time.Minute)
		if n := w.requests(); n > 150 {
			t.Errorf("%d requests for one list", n)
		}
	})
}

func TestETag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubble(t)
		var full atomic.Int64
		list := w.list(1)
		w.use(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == `"one"` {
				rw.WriteHeader(304)
				return
			}
			full.Add(1)
			rw.Header().Set("ETag", `"one"`)
			rw.Write(list) // a test's server
		})
		w.run(t)
		w.wantRequests(t, 13*time.Hour, 3, 4)
		if sent := w.sent("If-None-Match"); full.Load() != 1 || sent[0] != "" || sent[1] != `"one"` {
			t.Fatalf("%d lists sent, with %q", full.Load(), sent)
		}
		// The file has been replaced since: "not modified" no longer refers to its content.
		w.put(t, w.list(0))
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		w.holds(t, list)
		if failed := w.failures(); full.Load() != 2 || len(failed) != 0 {
			t.Errorf("%d lists sent, errors %v", full.Load(), failed)
		}
	})
}

// A server that always answers "not modified" cannot keep an expired list in effect.
// Covers I7.
func TestNotModifiedDoesNotExtendAnExpiredList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubble(t)
		list := w.list(1, dated(-time.Minute, time.Hour))
		w.use(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				rw.WriteHeader(304)
				return
			}
			rw.Header().Set("ETag", `"one"`)
			rw.Write(list) // a test's server
		})
		w.run(t)
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if failed := w.failures(); len(failed) != 0 {
			t.Errorf("errors %v", failed)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if failed := w.failures(); len(failed) == 0 || !strings.Contains(failed[0].Error(), "past its next update") {
			t.Errorf("errors %v", failed)
		}
		if tags := w.sent("If-None-Match"); tags[len(tags)-1] != "" {
			t.Error("the request is still conditional")
		}
	})
}

func TestRunLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.give(w.list(1))
	second := newWorld(t)
	release := make(chan struct{})
	second.use(func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		w.fetcher.Run(ctx, []crlfetch.Source{w.source, second.source})
		close(done)
	}()
	testkit.Eventually(t, "a request to each server", func() bool { return w.requests() > 0 && second.requests() > 0 })
	cancel()
	select {
	case <-done:
	case <-time.After(testkit.Patience):
		t.Fatal("Run does not return")
	}
	var stacks []byte
	defer func() {
		if t.Failed() {
			t.Logf("%s", stacks)
		}
	}()
	testkit.Eventually(t, "every goroutine ends", func() bool {
		buffer := make([]byte, 1<<20)
		stacks = buffer[:runtime.Stack(buffer, true)]
		return !bytes.Contains(stacks, []byte("crlfetch.(*Fetcher)")) && !bytes.Contains(stacks, []byte("net/http.(*persistConn)"))
	})
}

func TestRunWithoutSources(t *testing.T) {
	new(crlfetch.Fetcher).Run(t.Context(), nil)
}
