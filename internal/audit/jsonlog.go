package audit

import (
	"io"
	"log/slog"
	"sync"
)

// JSONLog returns a logger for Options.Log that writes the same lines as a
// slog.JSONHandler. The lines of a Logger bypass slog, and all that are waiting go to w in one
// Write, which holds whole lines only. A nil level means slog.LevelInfo.
//
// One line is written for every request. BenchmarkDecisionLine, processor time of all that a
// line costs: 0.9 µs and no allocation, against 5 µs and 5 allocations through slog. To a file:
// 1.9 µs, against 3 µs if the caller of each line writes it.
func JSONLog(w io.Writer, level slog.Leveler) *slog.Logger {
	out := &lockedWriter{w: w}
	return slog.New(&jsonLog{Handler: slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}), out: out})
}

// jsonLog is a handler for which Logger writes its lines itself. With and
// WithGroup return the embedded handler's, for which slog writes every line.
type jsonLog struct {
	slog.Handler
	out io.Writer
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
