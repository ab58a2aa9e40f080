package ports

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// check verifies a connection and the work that is tracked on it.
func (c *Conn) check() {
	c.mu.Lock()
	all := slices.Clone(c.works)
	c.mu.Unlock()
	// No responder is queried for an idle connection: the next request does that.
	query := !c.idle.Load()
	for _, w := range append(all, (*guardConn)(c)) {
		c.port.checker.Check(w, query)
	}
}

// recheckBusy checks the connections that are not idle.
func (p *Port) recheckBusy() { p.recheck(func(c *Conn) bool { return !c.idle.Load() }) }

// recheck verifies the connections for which which returns true.
func (p *Port) recheck(which func(*Conn) bool) {
	all := slices.DeleteFunc(p.connections(), func(c *Conn) bool { return !which(c) })
	var next atomic.Int64
	var checks sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(all)) { // after a change of trust there may be thousands of chains to verify
		checks.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(all)); i = next.Add(1) - 1 {
				all[i].check()
			}
		})
	}
	checks.Wait()
}

// recheck verifies every second the connections that are not idle, for expiry and
// revocation, until the listener is closed and no connection is left. It does not run in the
// sweep: thousands of signatures take a while, and deadlines must not wait.
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
