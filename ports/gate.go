package ports

import (
	"os"
	"sync"
	"time"
)

// gate bounds how many handshakes compute at one time.
type gate struct {
	mu    sync.Mutex
	freed *sync.Cond
	in    int
	most  int
}

func newGate(most int) *gate {
	g := &gate{most: most}
	g.freed = sync.NewCond(&g.mu)
	return g
}

func (g *gate) setMost(most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = most
	g.freed.Broadcast()
}

// enter waits for a place, at the longest until the handshake's deadline.
func (g *gate) enter(until time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in >= g.most {
		timer := time.AfterFunc(time.Until(until), func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.freed.Broadcast()
		})
		defer timer.Stop()
		for g.in >= g.most {
			if !time.Now().Before(until) {
				return os.ErrDeadlineExceeded
			}
			g.freed.Wait()
		}
	}
	g.in++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	g.in--
	g.mu.Unlock()
	g.freed.Signal()
}
