package ports

import (
	"os"
	"sync"
	"time"
)

// gate bounds how many handshakes compute at one time.
type limiter struct {
	mu    sync.Mutex
	freed *sync.Cond
	held    int
	limit  int
}

func newLimiter(most int) *limiter {
	g := &limiter{limit: most}
	g.freed = sync.NewCond(&g.mu)
	return g
}

func (g *limiter) setLimit(most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = most
	g.freed.Broadcast()
}

// enter waits for a place, at the longest until the handshake's deadline.
func (g *limiter) acquire(until time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held >= g.limit {
		timer := time.AfterFunc(time.Until(until), func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.freed.Broadcast()
		})
		defer timer.Stop()
		for g.held >= g.limit {
			if !time.Now().Before(until) {
				return os.ErrDeadlineExceeded
			}
			g.freed.Wait()
		}
	}
	g.held++
	return nil
}

func (g *limiter) release() {
	g.mu.Lock()
	g.held--
	g.mu.Unlock()
	g.freed.Signal()
}
