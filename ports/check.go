package ports

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/underway"
)

// grace is how long a connection that is not trusted any more may finish what it is
// doing. It leaves room below the promised second.
const grace = 750 * time.Millisecond

// Check implements underway.Work: the connection's own certificate, by the port's trust.
func (c *Conn) Check(ctx context.Context, wait bool) error {
	if !c.presentedAny() {
		return nil
	}
	_, err := c.verify(ctx, c.port.state.Load().config.Trust, wait)
	return err
}

// End ends a connection that is not trusted any more: at once if it is idle or hijacked,
// else when its answer is complete or 750 ms are over. It does not wait.
func (c *Conn) End() {
	if c.dismissed.Swap(true) {
		return
	}
	c.retire()
	if cancel := c.cancel.Load(); cancel != nil {
		(*cancel)()
	}
	if c.idle.Load() || c.hijacked.Load() {
		c.raw.abort()
		return
	}
	time.AfterFunc(grace, c.raw.abort) // also when nobody reports that it is idle
}

// Track adds a work to those that are checked with the connection: every second, and at
// every change of the port's trust. It is checked until forget is called or the
// connection ends. A hijacked connection is checked until it ends: the handler that took
// it may return before that.
func (c *Conn) Track(w underway.Work) (forget func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.works == nil {
		c.works = map[underway.Work]struct{}{}
	}
	c.works[w] = struct{}{}
	return func() {
		if c.hijacked.Load() {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.works, w)
	}
}

// check checks a connection and what is under way on it.
func (c *Conn) check() {
	c.mu.Lock()
	all := make([]underway.Work, 0, 1+len(c.works))
	for w := range c.works {
		all = append(all, w)
	}
	c.mu.Unlock()
	// An idle connection asks no responder: the next request will.
	ask := !c.idle.Load()
	for _, w := range append(all, c) {
		c.port.checker.Check(w, ask)
	}
}

// Recheck verifies again what is under way on the port: answers and hijacked connections.
// What is not trusted any more ends within a second. An idle connection is left alone:
// its next request is refused with the reason. Recheck waits for no responder: where one
// has to be asked, its answer counts when it is there.
func (p *Port) Recheck() { p.recheck(func(c *Conn) bool { return !c.idle.Load() }) }

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

// recheck verifies again what only time changes. It is not the sweep's: thousands of
// signatures take a while, and deadlines do not wait.
func (l *listener) recheck() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-tick.C:
			l.port.Recheck()
		}
	}
}
