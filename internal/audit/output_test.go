package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
)

var errNoSpace = errors.New("no space left on device")

// scripted is a writer that fails as its script says: each step accepts at most so many
// bytes of a Write, and then fails. Without a script it accepts everything.
type scripted struct {
	bytes.Buffer
	script []int // -1: panics
	writes []int // sizes
}

func (s *scripted) Write(b []byte) (int, error) {
	s.writes = append(s.writes, len(b))
	if len(s.script) == 0 {
		return s.Buffer.Write(b)
	}
	n := s.script[0]
	s.script = s.script[1:]
	if n < 0 {
		panic("broken")
	}
	n, _ = s.Buffer.Write(b[:min(n, len(b))])
	return n, errNoSpace
}

func logAllowed(e *Logger, path string) {
	o := middleware.Outcome{Allowed: true, Path: path, Identity: &identity.Identity{User: "alice", Via: identity.TLS}}
	e.LogDecision(&http.Request{}, &o, nil)
}

// A Write that fails for a moment, also in the middle of a line, loses and repeats nothing.
// Covers L9.
func TestFailedWriteGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &scripted{script: []int{0, 7, 0, 100}}
		e := New(JSONLog(w, nil), new(atomic.Uint64))
		for _, path := range []string{"/1", "/2", "/3"} {
			logAllowed(e, path)
		}
		e.Flush()
		if got := pathsOf(t, w.String()); strings.Join(got, " ") != "/1 /2 /3" || e.Dropped() != 0 {
			t.Errorf("%d lost, wrote %s", e.Dropped(), w.String())
		}
	})
}

// Lines that a failing log does not accept are counted, and the log has their number and the
// error as soon as it accepts lines again. A line that was cut off does not swallow the next.
// Covers L9.
func TestLinesThatAFailingLogLosesAreReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &scripted{script: append([]int{7}, make([]int, 100)...)}
		e := New(JSONLog(w, nil), new(atomic.Uint64))
		logAllowed(e, "/1")
		logAllowed(e, "/2")
		start := time.Now()
		e.Flush()
		if took := time.Since(start); took <= 0 || took > retryFor {
			t.Errorf("it tried for %v", took)
		}
		logAllowed(e, "/3")
		start = time.Now()
		e.Flush()
		if took := time.Since(start); took != 0 || e.Dropped() != 3 {
			t.Errorf("%d lost, the second time after %v", e.Dropped(), took)
		}
		w.script = nil
		logAllowed(e, "/4")
		e.Flush()
		torn, rest, _ := strings.Cut(w.String(), "\n")
		if len(torn) != 7 {
			t.Errorf("the torn line is %q", torn)
		}
		var note struct {
			Level, Msg, Error string
			Dropped           int
		}
		first, rest, _ := strings.Cut(rest, "\n")
		if err := json.Unmarshal([]byte(first), &note); err != nil || note.Dropped != 3 || note.Error != errNoSpace.Error() || note.Level != "ERROR" {
			t.Errorf("got %v, %s; want an ERROR about 3 dropped lines", err, first)
		}
		if got := pathsOf(t, rest); strings.Join(got, " ") != "/4" {
			t.Errorf("wrote %s", rest)
		}
		logAllowed(e, "/5")
		e.Flush()
		if strings.Count(w.String(), `"dropped":`) != 1 {
			t.Errorf("reported more than once: %s", w.String())
		}
	})
}

// A panic of the log's writer or handler, and an error of a handler, are lines that were
// lost, and end nothing.
// Covers L9.
func TestLinesOfABrokenLogAreCounted(t *testing.T) {
	t.Parallel()
	always := make([]int, 1000)
	for i := range always {
		always[i] = -1
	}
	for name, log := range map[string]*slog.Logger{
		"a writer that panics":  JSONLog(&scripted{script: always}, nil),
		"a handler that fails":  slog.New(&brokenHandler{err: errNoSpace}),
		"a handler that panics": slog.New(&brokenHandler{}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := New(log, new(atomic.Uint64))
				for range 3 {
					logAllowed(e, "/")
					e.Flush()
				}
				if e.Dropped() != 3 {
					t.Errorf("%d lost, want 3", e.Dropped())
				}
			})
		})
	}
}

// A handler that accepts records again gets the number of those that it did not accept.
// Covers L9.
func TestRecordsThatAFailingHandlerLosesAreReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &brokenHandler{err: errNoSpace}
		e := New(slog.New(h), new(atomic.Uint64))
		logAllowed(e, "/1")
		e.Flush()
		h.works = true
		logAllowed(e, "/2")
		e.Flush()
		if want := []string{"the log failed: lines were dropped", "decision"}; strings.Join(h.got, "; ") != strings.Join(want, "; ") {
			t.Errorf("got %q", h.got)
		}
	})
}

type brokenHandler struct {
	slog.Handler
	err   error
	works bool
	got   []string
}

func (*brokenHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *brokenHandler) Handle(_ context.Context, r slog.Record) error {
	if h.works {
		h.got = append(h.got, r.Message)
		return nil
	}
	if h.err == nil {
		panic("broken")
	}
	return h.err
}

// Every Write has whole lines only, at most maxBatch bytes, and more than one line where more
// were waiting.
func TestWritesHoldWholeLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &scripted{}
		e := New(JSONLog(w, nil), new(atomic.Uint64))
		const n = 1000
		for range n {
			logAllowed(e, "/")
		}
		e.Flush()
		out := w.String()
		if got := len(pathsOf(t, out)); got != n {
			t.Fatalf("%d lines, want %d", got, n)
		}
		for _, size := range w.writes {
			if size > maxBatch || out[size-1] != '\n' {
				t.Errorf("a Write of %d bytes ends with %q", size, out[size-1])
			}
			out = out[size:]
		}
		if len(w.writes) > n/2 {
			t.Errorf("%d writes for %d lines", len(w.writes), n)
		}
	})
}

// pathsOf returns the paths of the lines, each of which must be JSON.
func pathsOf(t *testing.T, lines string) (paths []string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var got struct{ Path string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		paths = append(paths, got.Path)
	}
	return paths
}

// A log that is slower than the lines come, but writes, loses nothing: the callers wait.
// Covers L9.
func TestSlowLogLosesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler bool
		each    time.Duration // of one Write, or of one record
		lines   int           // more than the backlog holds
	}{
		"a writer":  {false, time.Millisecond, maxQueued/1024 + 2000},
		"a handler": {true, 300 * time.Millisecond, maxQueued/recordSize + 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &slowWriter{each: c.each}
				log := JSONLog(w, nil)
				if c.handler {
					log = slog.New(slog.NewJSONHandler(w, nil))
				}
				e := New(log, new(atomic.Uint64))
				start := time.Now()
				for range c.lines {
					logAllowed(e, "/")
				}
				if time.Since(start) == 0 {
					t.Error("the backlog was never full")
				}
				for !e.backlog.Wait(time.Second) {
				}
				if w.lines != c.lines || e.Dropped() != 0 {
					t.Errorf("%d lines and %d dropped, want %d", w.lines, e.Dropped(), c.lines)
				}
			})
		})
	}
}

// slowWriter counts lines, and takes its time for each Write.
type slowWriter struct {
	each  time.Duration
	lines int
}

func (w *slowWriter) Write(b []byte) (int, error) {
	time.Sleep(w.each)
	w.lines += bytes.Count(b, newline)
	return len(b), nil
}
