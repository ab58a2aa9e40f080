package reverse

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// pool is the gateway's tunnels, and the requests that wait for one.
type pool struct {
	wait  time.Duration // for a free tunnel
	most  int           // requests that wait for one service
	share int           // percent of a service's places that one holder alone may have
	pick  func([]Tunnel) Tunnel

	mu       sync.Mutex
	services map[string]*queue
	tunnels  map[*gatewayEnd]struct{}
	accounts map[holder]*account
	waiting  int
	arrivals uint64 // requests that have waited
	closed   bool
}

// queue is one service. It is there as long as it has a tunnel or a request waits.
type queue struct {
	service string
	tunnels []*gatewayEnd
	waiters []*waiter // the oldest first
	next    int       // where the search begins, so that equals take turns
}

// waiter is a request that waits.
type waiter struct {
	number  uint64 // by arrival, over all services
	account *account
	place   chan *gatewayEnd // holds one; closed when the request gives way to another
}

var errUnavailable = errors.New("reverse: no tunnel is free")

// crowd is how many services' worth of requests wait in all. A caller may choose the
// name of a service that nobody has.
const crowd = 8

// acquire returns a tunnel that serves the service, with a place for one request of
// the holder. It waits for one at the longest for the pool's time. The error is
// errUnavailable, errShare, or that of ctx.
func (p *pool) acquire(ctx context.Context, service string, h holder) (*gatewayEnd, error) {
	p.mu.Lock()
	a := p.account(h)
	q := p.services[service]
	if q != nil && p.mayHold(q, a) { // requests that wait are not overtaken: they may not hold more, or found no place
		if t := p.choose(q); t != nil {
			p.hold(t, a)
			p.mu.Unlock()
			return t, nil
		}
	}
	w, err := p.enqueue(q, service, a)
	p.closeAccount(a)
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}

	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	err = errUnavailable
	select {
	case t, ok := <-w.place:
		if !ok {
			return nil, errShare
		}
		return t, nil
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	q = p.services[service]
	if q != nil {
		if i := slices.Index(q.waiters, w); i >= 0 {
			if err == errUnavailable {
				err = p.whyNone(q, a)
			}
			p.dequeue(q, i)
			return nil, err
		}
	}
	t, ok := <-w.place // it came at the last moment
	switch {
	case !ok:
		return nil, errShare
	case err == errUnavailable:
		return t, nil
	}
	p.giveBack(t, a)
	return nil, err
}

// whyNone is why a request gets no place.
func (p *pool) whyNone(q *queue, a *account) error {
	if q != nil && slices.ContainsFunc(q.tunnels, (*gatewayEnd).free) && !p.mayHold(q, a) {
		return errShare
	}
	return errUnavailable
}

// enqueue lets a request wait. q is nil for an unknown service.
func (p *pool) enqueue(q *queue, service string, a *account) (*waiter, error) {
	if p.closed || p.wait <= 0 {
		return nil, p.whyNone(q, a)
	}
	if q != nil && len(q.waiters) >= p.most && !p.makeRoom(a, q) ||
		p.waiting >= crowd*p.most && !p.makeRoom(a, slices.Collect(maps.Values(p.services))...) {
		return nil, p.whyNone(q, a)
	}
	q = p.queue(service)
	p.arrivals++
	w := &waiter{number: p.arrivals, account: a, place: make(chan *gatewayEnd, 1)}
	q.waiters = append(q.waiters, w)
	a.waiting++
	p.waiting++
	return w, nil
}

// queue returns the queue of a service.
func (p *pool) queue(service string) *queue {
	q := p.services[service]
	if q == nil {
		q = &queue{service: service}
		p.services[service] = q
	}
	return q
}

// dequeue takes a request out of a queue.
func (p *pool) dequeue(q *queue, i int) *waiter {
	w := q.waiters[i]
	q.waiters = slices.Delete(q.waiters, i, i+1)
	p.waiting--
	w.account.waiting--
	p.closeAccount(w.account)
	p.forget(q.service)
	return w
}

// hold counts a place of a tunnel to a holder.
func (p *pool) hold(t *gatewayEnd, a *account) {
	t.inFlight++
	a.places[t]++
}

// choose finds a tunnel with a free place: the one with the least under way, a busy
// one last.
func (p *pool) choose(q *queue) *gatewayEnd {
	if p.pick != nil {
		return p.ask(q)
	}
	var best *gatewayEnd
	bestBusy := false
	for i := range q.tunnels {
		t := q.tunnels[(q.next+i)%len(q.tunnels)]
		if !t.free() {
			continue
		}
		busy := t.busy()
		if best == nil || bestBusy && !busy || bestBusy == busy && t.inFlight < best.inFlight {
			best, bestBusy = t, busy
		}
	}
	q.next++
	return best
}

// ask lets the program choose.
func (p *pool) ask(q *queue) *gatewayEnd {
	var free []Tunnel
	for _, t := range q.tunnels {
		if t.free() {
			free = append(free, t.describe())
		}
	}
	if len(free) == 0 {
		return nil
	}
	t := p.picked(free)
	if t == nil || !t.free() || !slices.Contains(q.tunnels, t) {
		return nil // fail closed: what was not offered serves nobody
	}
	return t
}

// picked is what Pick answers; nothing when it panics: the pool's lock is held.
func (p *pool) picked(free []Tunnel) *gatewayEnd {
	var err error
	choice := func() Tunnel {
		defer recovered("Pick", &err)
		return p.pick(free)
	}()
	return choice.tunnel
}

// release gives a holder's place back.
func (p *pool) release(t *gatewayEnd, h holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBack(t, p.accounts[h])
}

func (p *pool) giveBack(t *gatewayEnd, a *account) {
	t.inFlight--
	if a.places[t]--; a.places[t] == 0 {
		delete(a.places, t)
	}
	p.closeAccount(a)
	if t.draining && t.inFlight == 0 {
		t.finish()
		return
	}
	if p.waiting > 0 {
		p.handOut(t.services)
	}
}

// handOut serves the requests that wait for one of these services, the oldest of all
// first.
func (p *pool) handOut(services []string) {
	for p.waiting > 0 {
		var from *queue
		var at int
		for _, s := range services {
			q := p.services[s]
			if i := p.oldest(q); i >= 0 && (from == nil || q.waiters[i].number < from.waiters[at].number) {
				from, at = q, i
			}
		}
		if from == nil {
			return
		}
		t := p.choose(from)
		if t == nil { // the program's choice
			services = slices.DeleteFunc(slices.Clone(services), func(s string) bool { return s == from.service })
			continue
		}
		w := from.waiters[at]
		p.hold(t, w.account) // first: an account that has nothing is forgotten
		w.place <- t
		p.dequeue(from, at)
	}
}

// oldest returns the first request of a queue that may have a place now, or -1.
func (p *pool) oldest(q *queue) int {
	if q == nil || len(q.waiters) == 0 || !slices.ContainsFunc(q.tunnels, (*gatewayEnd).free) {
		return -1
	}
	var no *account // a caller with many requests is asked about once
	for i, w := range q.waiters {
		if w.account != no && p.mayHold(q, w.account) {
			return i
		}
		no = w.account
	}
	return -1
}

// add puts a tunnel into service, if ok says so under the pool's lock. The error is that
// of a pool that is closed or full.
func (p *pool) add(t *gatewayEnd, most int, ok func() bool) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed || len(p.tunnels) >= most:
		return false, errUnavailable
	case !ok():
		return false, nil
	}
	p.tunnels[t] = struct{}{}
	for _, s := range t.services {
		q := p.queue(s)
		q.tunnels = append(q.tunnels, t)
	}
	p.handOut(t.services)
	return true, nil
}

// drain takes a tunnel out of service. It ends with its last request.
func (p *pool) drain(t *gatewayEnd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.draining = true
	p.leave(t)
}

// settle ends a tunnel that drains, if nothing is under way on it.
func (p *pool) settle(t *gatewayEnd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.draining && t.inFlight == 0 {
		t.finish()
	}
}

// remove forgets a tunnel. It reports whether there was one.
func (p *pool) remove(t *gatewayEnd) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, there := p.tunnels[t]
	t.draining = true
	p.leave(t)
	delete(p.tunnels, t)
	return there
}

func (p *pool) leave(t *gatewayEnd) {
	for _, s := range t.services {
		if q := p.services[s]; q != nil {
			q.tunnels = slices.DeleteFunc(q.tunnels, func(other *gatewayEnd) bool { return other == t })
			p.forget(s)
		}
	}
	p.handOut(t.services) // a caller may hold more elsewhere: its places here do not count any more
}

// forget drops a service that has nothing, so that names which callers choose take no
// memory.
func (p *pool) forget(service string) {
	if q := p.services[service]; q != nil && len(q.tunnels) == 0 && len(q.waiters) == 0 {
		delete(p.services, service)
	}
}

// close lets no more in, and returns the tunnels that there are.
func (p *pool) close() []*gatewayEnd {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.list()
}

func (p *pool) list() []*gatewayEnd {
	out := make([]*gatewayEnd, 0, len(p.tunnels))
	for t := range p.tunnels {
		out = append(out, t)
	}
	return out
}

func (p *pool) all() []*gatewayEnd {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list()
}

func (p *pool) conns() []Tunnel {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Tunnel
	for t := range p.tunnels {
		out = append(out, t.describe())
	}
	slices.SortFunc(out, func(a, b Tunnel) int { return a.Since.Compare(b.Since) })
	return out
}
