package e2e

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/middleware"
)

// gatedLog is a log that blocks until its gate is opened, and counts its records.
type gatedLog struct {
	slog.Handler
	gate               chan struct{}
	decisions, dropped atomic.Uint64
}

func (g *gatedLog) Enabled(context.Context, slog.Level) bool { return true }

func (g *gatedLog) Handle(_ context.Context, r slog.Record) error {
	<-g.gate
	if r.Message == "decision" {
		g.decisions.Add(1)
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "dropped" {
			g.dropped.Add(a.Value.Uint64())
		}
		return true
	})
	return nil
}

// startBlocked starts a site's server with a log that blocks.
func (s *site) startBlocked(options mtlsguard.Options) (l *live, log *gatedLog, opens func()) {
	log = &gatedLog{Handler: slog.DiscardHandler, gate: make(chan struct{})}
	opens = sync.OnceFunc(func() { close(log.gate) })
	s.Cleanup(opens)
	options.Log = slog.New(log)
	return s.start(options), log, opens
}

// A log that blocks delays no request and allows none. Dropped records are counted, and the
// count is logged when the log accepts records again.
// Covers L9.
func TestBlockedLogDoesNotHoldRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var request atomic.Pointer[http.Request]
	var observed atomic.Uint64
	l, log, open := s.startBlocked(mtlsguard.Options{Observe: func(r *http.Request, _ middleware.Outcome) {
		observed.Add(1)
		request.CompareAndSwap(nil, r.WithContext(context.WithoutCancel(r.Context())))
	}})
	alice := s.client(s.alice, testkit.HTTP2)
	expect := func(want string) {
		t.Helper()
		start := time.Now()
		if got := get(alice, l.url("internal", "/whoami")); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if took := time.Since(start); took > 20*time.Second { // on a busy machine
			t.Errorf("a request took %s", took)
		}
	}
	expect("200 alice")
	const flood = 20_000 // more than the log's queue holds
	start := time.Now()
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for range flood / 4 {
				w := httptest.NewRecorder()
				l.server.Handler(s.handler).ServeHTTP(w, request.Load())
				if w.Code != http.StatusOK {
					t.Errorf("status %d, want %d", w.Code, http.StatusOK)
				}
			}
		})
	}
	callers.Wait()
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("%d requests took %s", flood, took)
	}
	dropped := l.server.Status().Dropped
	if dropped == 0 || dropped > flood {
		t.Errorf("%d lines are dropped", dropped)
	}
	s.put("policy.csv", sitePolicy+"p, user:alice, *, *, /*, deny\n")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	expect("403 denied")
	s.put("ca.crl", s.crl(2, s.alice))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	expect("refused")
	open()
	testkit.Eventually(t, "all records are written, and the drops are logged", func() bool {
		dropped := l.server.Status().Dropped
		return log.dropped.Load() == dropped && log.decisions.Load()+dropped >= observed.Load()
	})
	if written := log.decisions.Load(); written > observed.Load() {
		t.Errorf("%d decisions, %d written", observed.Load(), written)
	}
}

// The server stops in time when the log blocks.
// Covers L9.
func TestBlockedLogDoesNotHoldTheEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l, _, _ := s.startBlocked(mtlsguard.Options{})
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "200 alice" {
		t.Error(got)
	}
	start := time.Now()
	l.end()
	if took := time.Since(start); took > 20*time.Second { // the drain, two seconds, and a busy machine
		t.Errorf("it took %s", took)
	}
}

// A panic of the log loses one record and no request.
// Covers L9.
func TestPanicOfTheLogDoesNotReachRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{Log: slog.New(panicking{slog.DiscardHandler})})
	alice := s.client(s.alice)
	for range 3 {
		if got := get(alice, l.url("internal", "/whoami")); got != "200 alice" {
			t.Error(got)
		}
	}
}

type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (panicking) Handle(context.Context, slog.Record) error { panic("the log is broken") }
func (p panicking) WithAttrs([]slog.Attr) slog.Handler      { return p }
func (p panicking) WithGroup(string) slog.Handler           { return p }
