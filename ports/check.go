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
	time.AfterFunc(underway.Grace, c.raw.abort) // also when nobody reports that it is idle
}

// Track adds a work, once, to those that are checked with the connection: every second
// while it is not idle, and at every change of the port's trust.
func (c *Conn) Track(w underway.Work) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.works, w) {
		c.works = append(c.works, w)
	}
}

// Untrack takes a work back. On a hijacked connection it does nothing: the handler that
// took the connection may return before it ends.
func (c *Conn) Untrack(w underway.Work) {
	if c.hijacked.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.works = slices.DeleteFunc(c.works, func(other underway.Work) bool { return other == w })
}

// check checks a connection and what is under way on it.
func (c *Conn) check() {
	c.mu.Lock()
	all := slices.Clone(c.works)
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
			l.port.Recheck()
		}
	}
}
