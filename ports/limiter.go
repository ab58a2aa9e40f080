package ports

import (
	"os"
	"sync"
	"time"
)

// limiter bounds how many handshakes compute at one time.
type limiter struct {
	mu    sync.Mutex
	freed *sync.Cond
	held  int
	limit int
}

func newLimiter(limit int) *limiter {
	l := &limiter{limit: limit}
	l.freed = sync.NewCond(&l.mu)
	return l
}

func (l *limiter) setLimit(limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = limit
	l.freed.Broadcast()
}

// acquire waits for a place. The error is os.ErrDeadlineExceeded if there is none before the
// handshake's deadline.
func (l *limiter) acquire(until time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held >= l.limit {
		timer := time.AfterFunc(time.Until(until), func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.freed.Broadcast()
		})
		defer timer.Stop()
		for l.held >= l.limit {
			if !time.Now().Before(until) {
				return os.ErrDeadlineExceeded
			}
			l.freed.Wait()
		}
	}
	l.held++
	return nil
}

func (l *limiter) release() {
	l.mu.Lock()
	l.held--
	l.mu.Unlock()
	l.freed.Signal()
}
