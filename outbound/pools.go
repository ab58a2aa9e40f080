package outbound

import (
	"crypto/x509"
	"maps"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// roots are the authorities in force, with the pools that believe in them. Other
// roots are another value, with pools and sessions of its own.
type roots struct {
	authorities *x509.CertPool                // nil: the system's
	pools       atomic.Pointer[map[key]*pool] // never changed, but replaced
}

// changes is what guards every change of pools and roots. Calls read without it.
type changes struct {
	mu     sync.Mutex
	closed bool
	sweep  *time.Timer // nil while there are no pools
	gone   []*pool     // retired by the change that is being made
}

// take finds or makes the pool of a call, and counts the call in.
func (t *Transport) take(identity *Credential, m manner, proxy *url.URL, now int64) (*pool, error) {
	k := key{}
	if identity != nil {
		k = identity.content
	}
	k = k.with(m, proxy)
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
		if err := t.make(k, identity, m, proxy); err != nil {
			return nil, err
		}
	}
}

// make adds a pool. Others of the same alias have an older content, and retire.
func (t *Transport) make(k key, identity *Credential, m manner, proxy *url.URL) error {
	return t.change(func(current *roots, next map[key]*pool) error {
		if t.changes.closed {
			return ErrClosed
		}
		if next[k] != nil {
			return nil // someone else was faster
		}
		if identity != nil {
			t.retire(next, func(p *pool) bool { return p.alias == identity.alias && p.content != identity.content })
		}
		for len(next) >= t.maxPools {
			last := longestUnused(next)
			t.retire(next, func(p *pool) bool { return p == last })
			t.evicted.Add(1)
		}
		next[k] = t.newPool(current, identity, m, proxy)
		if t.changes.sweep == nil {
			t.changes.sweep = time.AfterFunc(t.idleTimeout, t.sweepIdle)
		}
		return nil
	})
}

// change replaces the pools in force by what is made of a copy of them. Connections
// of those that were retired are closed afterwards, when nobody waits for it.
func (t *Transport) change(how func(current *roots, next map[key]*pool) error) error {
	t.changes.mu.Lock()
	current := t.roots.Load()
	next := maps.Clone(*current.pools.Load())
	err := how(current, next)
	current.pools.Store(&next)
	gone := t.changes.gone
	t.changes.gone = nil
	t.changes.mu.Unlock()
	for _, p := range gone {
		if p.keepCalls {
			p.windUp(0) // it may be a slow server; else pings end them
		} else {
			p.windUp(t.drain)
		}
	}
	return err
}

// retire takes pools out of a map that nobody reads yet.
func (t *Transport) retire(from map[key]*pool, which func(*pool) bool) {
	for k, p := range from {
		if which(p) {
			delete(from, k)
			t.retiring.Add(1)
			p.retired.Store(true)
			t.changes.gone = append(t.changes.gone, p)
		}
	}
}

// drop retires pools.
func (t *Transport) drop(which func(*pool) bool) {
	_ = t.change(func(_ *roots, next map[key]*pool) error { t.retire(next, which); return nil })
}

// retireSuspect retires a pool with a connection whose peer seems to be gone.
func (t *Transport) retireSuspect(p *pool) {
	t.drop(func(other *pool) bool {
		if other == p {
			p.keepCalls = true
		}
		return other == p
	})
}

// longestUnused prefers pools without calls.
func longestUnused(all map[key]*pool) *pool {
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

// sweepIdle retires the pools that had no call since the last sweep.
func (t *Transport) sweepIdle() {
	_ = t.change(func(_ *roots, next map[key]*pool) error {
		t.retire(next, func(p *pool) bool {
			used := p.used.Load()
			idle := used == p.seen && p.inFlight.Load() == 0
			p.seen = used
			return idle
		})
		if t.changes.sweep = nil; len(next) > 0 {
			t.changes.sweep = time.AfterFunc(t.idleTimeout, t.sweepIdle)
		}
		return nil
	})
}

// replaceRoots retires every pool.
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
