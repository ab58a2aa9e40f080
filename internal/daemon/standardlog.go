package daemon

import (
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// standardLog takes the lines of package log, to which net/http writes the bytes that an upstream
// has sent beyond its answer. They are no JSON, come as often as a caller likes, and may be
// another caller's: what has happened is logged, once a minute, and no byte of it.
type standardLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	next time.Time
}

// redirectStandardLog redirects package log to l, until the returned function is called.
func redirectStandardLog(l *slog.Logger) (restore func()) {
	w, flags := log.Writer(), log.Flags()
	log.SetOutput(&standardLog{log: l})
	log.SetFlags(0)
	return func() {
		log.SetOutput(w)
		log.SetFlags(flags)
	}
}

func (s *standardLog) Write(line []byte) (int, error) {
	s.mu.Lock()
	due := !time.Now().Before(s.next)
	if due {
		s.next = time.Now().Add(time.Minute)
	}
	s.mu.Unlock()
	if due {
		what, _, _ := strings.Cut(string(line), " starting with ")
		what, _, _ = strings.Cut(what, `"`)
		s.log.Warn("net/http", "error", strings.TrimSpace(what))
	}
	return len(line), nil
}
