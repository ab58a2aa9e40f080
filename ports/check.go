package ports

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// check checks a connection and what is under way on it.
func (c *Conn) check() {
	c.mu.Lock()
	all := slices.Clone(c.works)
	c.mu.Unlock()
	// An idle connection asks no responder: the next request will.
	ask := !c.idle.Load()
	for _, w := range append(all, (*guardConn)(c)) {
		c.port.checker.Check(w, ask)
	}
}

// recheckBusy checks the connections that are not idle.
func (p *Port) recheckBusy() { p.recheck(func(c *Conn) bool { return !c.idle.Load() }) }

// recheck checks connections.
func (p *Port) recheck(which func(*Conn) bool) {
	all := slices.DeleteFunc(p.connections(), func(c *Conn) bool { return !which(c) })
	var next atomic.Int64
	var checks sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(all)) { // after a change of trust thousands of chains, each some signatures
		checks.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(all)); i = next.Add(1) - 1 {
				all[i].check()
			}
		})
	}
	checks.Wait()
}

// recheck verifies again what only time changes, until the listener is closed and no
// connection is left. It is not the sweep's: thousands of signatures take a while, and
// deadlines do not wait.
func (l *listener) recheck() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	done := l.done
	for {
		select {
		case <-done:
			done = nil
		case <-tick.C:
			if done == nil && l.port.ConnCount() == 0 {
				return
			}
			l.port.recheckBusy()
		}
	}
}
