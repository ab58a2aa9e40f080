package e2e

import (
	"context"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/reason"
)

var soak = flag.Bool("soak", false, "run the soak test in full: 1,000 reloads and a million decisions")

// Everything is replaced many times under load. Every decision belongs to one generation, no
// connection is lost, and nothing leaks.
//
//	go test -race -run TestManyReloads -soak ./e2e
//
// Covers I8, D15.
func TestManyReloadsLeakNothing(t *testing.T) { // not parallel: it counts goroutines
	reloads, decisions := 60, int64(5_000)
	if *soak {
		reloads, decisions = 1000, 1_000_000
	}
	goroutines := runtime.NumGoroutine()
	s := newSite(t)
	write := func(i int) {
		s.put("users.yaml", policyStates[i%2].users)
		s.put("policy.csv", policyStates[i%2].policy)
		if i%10 == 0 { // the trust changes: every open connection is verified again
			s.put("ca.crl", s.crl(int64(i+1), s.bob))
		}
	}
	write(0)
	var mixed, decided atomic.Int64
	var captured atomic.Pointer[http.Request]
	l := s.start(mtlsguard.Options{Log: slog.New(slog.DiscardHandler), Observe: func(r *http.Request, o middleware.Outcome) {
		decided.Add(1)
		// Odd generations are the first state, which denies; the second has no rule.
		if want := map[bool]reason.Reason{true: reason.Denied, false: reason.NoRule}[o.Generation%2 == 1]; o.Allowed || o.Reason != want {
			if mixed.Add(1) < 5 {
				t.Errorf("generation %d: allowed %t, %s %s", o.Generation, o.Allowed, o.Reason, o.Detail)
			}
		}
		captured.CompareAndSwap(nil, r.WithContext(context.WithoutCancel(r.Context())))
	}})
	ctx, stop := context.WithCancel(context.Background())
	var load sync.WaitGroup
	var wrong, asked atomic.Int64
	clients := []*http.Client{s.client(s.alice), s.client(s.alice, testkit.HTTP2), s.client(s.alice, testkit.Resuming), s.client(s.bob)}
	for i, c := range clients {
		load.Go(func() {
			for ctx.Err() == nil {
				asked.Add(1)
				if got := get(c, l.url("internal", "/x")); !refusesBoth(got) && i < 3 || i == 3 && got != "refused" {
					if wrong.Add(1) < 5 {
						t.Errorf("client %d: %s", i, got)
					}
				}
				time.Sleep(time.Millisecond) // otherwise reloads get no CPU time
			}
		})
	}
	testkit.Eventually(t, "a request", func() bool { return captured.Load() != nil })
	for range 2 { // decisions without a socket
		load.Go(func() {
			for ctx.Err() == nil {
				w := httptest.NewRecorder()
				l.server.Handler(s.handler).ServeHTTP(w, captured.Load())
				if w.Code != http.StatusForbidden {
					wrong.Add(1)
				}
				if decided.Load() > decisions {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	var before uint64
	for i := 1; i <= reloads; i++ {
		write(i)
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
		_ = l.server.Status()
		if i == reloads/5 {
			before = heap()
		}
	}
	for end := time.Now().Add(10 * time.Minute); decided.Load() < decisions && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	after := heap()
	stop()
	load.Wait()
	t.Logf("%d reloads, %d decisions, %d requests, heap %d KiB then %d KiB", reloads, decided.Load(), asked.Load(), before>>10, after>>10)
	if mixed.Load() > 0 || wrong.Load() > 0 || l.server.Status().Generation != uint64(reloads+1) {
		t.Errorf("%d mixed, %d wrong, generation %d", mixed.Load(), wrong.Load(), l.server.Status().Generation)
	}
	if after > before+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	l.end()
	for _, c := range clients {
		c.CloseIdleConnections()
	}
	if left := settledGoroutines(goroutines); left > goroutines+5 {
		t.Errorf("%d goroutines before, %d after", goroutines, left)
	}
}

// heap returns the bytes in use after a garbage collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// settledGoroutines waits a while for the number of goroutines to fall.
func settledGoroutines(to int) int {
	n := runtime.NumGoroutine()
	for range 100 {
		if n <= to+5 {
			break
		}
		time.Sleep(20 * time.Millisecond)
		n = runtime.NumGoroutine()
	}
	return n
}
