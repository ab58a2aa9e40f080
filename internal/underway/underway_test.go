package underway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/underway"
)

// work is a work whose results the test sets.
type work struct {
	local, result error
	panics        bool
	hold          chan struct{} // nil means that a waiting check returns at once
	checking      *atomic.Int64
	most          *atomic.Int64
	ended         atomic.Int64
}

func (w *work) Check(_ context.Context, wait bool) error {
	if w.panics {
		panic("a clock that panics")
	}
	if !wait {
		return w.local
	}
	if n := w.checking.Add(1); n > w.most.Load() {
		w.most.Store(n)
	}
	defer w.checking.Add(-1)
	if w.hold != nil {
		<-w.hold
	}
	return w.result
}

func (w *work) End(error) { w.ended.Add(1) }

// Covers G10.
func TestCheckerEndsUntrustedWork(t *testing.T) {
	former := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer slog.SetDefault(former)
	no := errors.New("revoked")
	for name, x := range map[string]struct {
		w    *work
		wait bool
		ends bool
	}{
		"trusted":             {w: &work{}, wait: true},
		"not trusted":         {w: &work{local: no}, ends: true},
		"a panic":             {w: &work{panics: true}, ends: true},
		"waited, trusted":     {w: &work{local: trustaccess.ErrUndecided}, wait: true},
		"waited, not trusted": {w: &work{local: trustaccess.ErrUndecided, result: no}, wait: true, ends: true},
		"waited, undecided":   {w: &work{local: trustaccess.ErrUndecided, result: trustaccess.ErrUndecided}, wait: true, ends: true},
		"undecided, no wait":  {w: &work{local: trustaccess.ErrUndecided, result: no}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c underway.Checker
				x.w.checking, x.w.most = new(atomic.Int64), new(atomic.Int64)
				c.Check(x.w, x.wait)
				synctest.Wait()
				if (x.w.ended.Load() > 0) != x.ends {
					t.Errorf("ended %d times", x.w.ended.Load())
				}
			})
		})
	}
}

// Covers G10: few checks wait at one time, each work waits once, and one that waits too long
// ends.
func TestWaitingChecksAreBoundedInNumberAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c underway.Checker
		var checking, most atomic.Int64
		hold := make(chan struct{})
		all := make([]*work, 1000)
		for i := range all {
			all[i] = &work{local: trustaccess.ErrUndecided, hold: hold, checking: &checking, most: &most}
		}
		round := func() (ended int) {
			for _, w := range all {
				c.Check(w, true)
			}
			synctest.Wait()
			for _, w := range all {
				if w.ended.Load() > 0 {
					ended++
				}
			}
			return ended
		}
		for range 100 {
			if n := round(); n != 0 {
				t.Fatalf("%d ended", n)
			}
			time.Sleep(time.Second)
		}
		if n := most.Load(); n == 0 || n > 16 {
			t.Errorf("%d waiting checks at one time", n)
		}
		time.Sleep(time.Minute)
		if n := round(); n != len(all) {
			t.Errorf("%d of %d undecided works ended, want all", n, len(all))
		}
		close(hold) // the workers return, else the bubble does not end
		synctest.Wait()
	})
}

// Abort ends one stream and no other of the connection.
func TestAbortEndsOneStream(t *testing.T) {
	abort := make(chan http.ResponseWriter, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/aborted" {
			abort <- w
			<-r.Context().Done()
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	res, err := s.Client().Get(s.URL + "/aborted")
	if err != nil || res.ProtoMajor != 2 {
		t.Fatal(res, err)
	}
	if err := underway.Abort(<-abort); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the answer is complete")
	}
	if res, err := s.Client().Get(s.URL + "/other"); err != nil || res.StatusCode != 200 {
		t.Error(res, err)
	}
	if underway.Abort(httptest.NewRecorder()) == nil {
		t.Error("Abort without support returns no error")
	}
}
