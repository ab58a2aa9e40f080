package outbound

import (
	"crypto/x509"
	"maps"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// roots are the current authorities with the pools that use them. SetRoots replaces the
// value, so that new roots get new pools and sessions.
type roots struct {
	authorities *x509.CertPool                // nil for the system's
	pools       atomic.Pointer[map[key]*pool] // the map is replaced, never changed
}

// changes guards the changes of pools and roots. Calls read them without the lock.
type changes struct {
	mu      sync.Mutex
	closed  bool
	sweep   *time.Timer // nil while there are no pools
	retired []*pool     // by the change in progress
}

// acquirePool returns the pool of a call, and counts the call in. It adds the pool if there
// is none.
func (t *Transport) acquirePool(identity *Credential, via protocol, proxy *url.URL, now int64) (*pool, error) {
	k := key{}
	if identity != nil {
		k = identity.content
	}
	k = k.with(via, proxy)
	for {
		p := (*t.roots.Load().pools.Load())[k]
		if p != nil && p.hasSuspect() {
			t.retireSuspect(p)
		} else if p != nil && p.acquire(now) {
			if identity != p.identity.Load() {
				p.identity.Store(identity)
			}
			return p, nil
		}
		if err := t.addPool(k, identity, via, proxy); err != nil {
			return nil, err
		}
	}
}

// addPool adds a pool. It retires the pools with an older content of the same alias.
func (t *Transport) addPool(k key, identity *Credential, via protocol, proxy *url.URL) error {
	return t.change(func(current *roots, next map[key]*pool) error {
		if t.changes.closed {
			return errClosed
		}
		if next[k] != nil {
			return nil // another call has added it
		}
		if identity != nil {
			t.retire(next, func(p *pool) bool { return p.alias == identity.alias && p.content != identity.content })
		}
		for len(next) >= t.maxPools {
			last := leastRecentlyUsed(next)
			t.retire(next, func(p *pool) bool { return p == last })
			t.evicted.Add(1)
		}
		next[k] = t.newPool(current, identity, via, proxy)
		if t.changes.sweep == nil {
			t.changes.sweep = time.AfterFunc(t.idleTimeout, t.sweepIdle)
		}
		return nil
	})
}

// change replaces the current pools with a copy that edit has changed. It closes the
// connections of retired pools afterwards, without the lock.
func (t *Transport) change(edit func(current *roots, next map[key]*pool) error) error {
	t.changes.mu.Lock()
	current := t.roots.Load()
	next := maps.Clone(*current.pools.Load())
	err := edit(current, next)
	current.pools.Store(&next)
	retired := t.changes.retired
	t.changes.retired = nil
	t.changes.mu.Unlock()
	for _, p := range retired {
		if p.keepCalls {
			p.shutDown(0) // the server may only be slow; otherwise pings end the calls
		} else {
			p.shutDown(t.drain)
		}
	}
	return err
}

// retire removes the matching pools from a map that is not yet current.
func (t *Transport) retire(from map[key]*pool, match func(*pool) bool) {
	for k, p := range from {
		if match(p) {
			delete(from, k)
			t.retiring.Add(1)
			p.retired.Store(true)
			t.changes.retired = append(t.changes.retired, p)
		}
	}
}

// retireCurrent retires the matching pools.
func (t *Transport) retireCurrent(match func(*pool) bool) {
	_ = t.change(func(_ *roots, next map[key]*pool) error { t.retire(next, match); return nil })
}

// retireSuspect retires a pool with a connection whose peer seems to have vanished.
func (t *Transport) retireSuspect(p *pool) {
	t.retireCurrent(func(other *pool) bool {
		if other == p {
			p.keepCalls = true
		}
		return other == p
	})
}

// leastRecentlyUsed returns the pool to evict. It prefers pools without calls.
func leastRecentlyUsed(all map[key]*pool) *pool {
	var last *pool
	busy := func(p *pool) bool { return p.inFlight.Load() > 0 }
	for _, p := range all {
		switch {
		case last == nil, busy(last) && !busy(p):
			last = p
		case busy(last) == busy(p) && p.used.Load() < last.used.Load():
			last = p
		}
	}
	return last
}

// sweepIdle retires the pools that had no call since the last sweep, and schedules the next
// sweep.
func (t *Transport) sweepIdle() {
	_ = t.change(func(_ *roots, next map[key]*pool) error {
		t.retire(next, func(p *pool) bool {
			used := p.used.Load()
			idle := used == p.usedAtSweep && p.inFlight.Load() == 0
			p.usedAtSweep = used
			return idle
		})
		if t.changes.sweep = nil; len(next) > 0 {
			t.changes.sweep = time.AfterFunc(t.idleTimeout, t.sweepIdle)
		}
		return nil
	})
}

// replaceRoots sets new roots and retires every pool. With closing, no call is accepted
// afterwards.
func (t *Transport) replaceRoots(to *x509.CertPool, closing bool) {
	_ = t.change(func(_ *roots, next map[key]*pool) error {
		t.changes.closed = t.changes.closed || closing
		t.roots.Store(newRoots(to))
		t.retire(next, func(*pool) bool { return true })
		return nil
	})
}

func newRoots(authorities *x509.CertPool) *roots {
	r := &roots{authorities: authorities}
	r.pools.Store(&map[key]*pool{})
	return r
}
