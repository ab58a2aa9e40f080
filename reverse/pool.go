package reverse

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// pool is the gateway's tunnels, and the requests that wait for one.
type pool struct {
	wait time.Duration // for a free tunnel
	most int           // requests that wait for one service
	pick func([]Conn) Conn

	mu       sync.Mutex
	services map[string]*queue
	tunnels  map[*gatewayEnd]struct{}
	waiting  int
	closed   bool
}

// queue is one service. It is there as long as it has a tunnel or somebody waits.
type queue struct {
	tunnels []*gatewayEnd
	waiters []chan *gatewayEnd // first come, first served; each holds one
	next    int                // where the search begins, so that equals take turns
}

var errUnavailable = errors.New("reverse: no tunnel is free")

// crowd is how many services' worth of requests wait in all. A caller may choose the
// name of a service that nobody has.
const crowd = 8

// acquire returns a tunnel that serves the service, with a place for one request. It
// waits for one at the longest for the pool's time. The error is errUnavailable or
// that of ctx.
func (p *pool) acquire(ctx context.Context, service string) (*gatewayEnd, error) {
	p.mu.Lock()
	q := p.services[service]
	if q != nil && len(q.waiters) == 0 {
		if t := p.choose(q); t != nil {
			t.inFlight++
			p.mu.Unlock()
			return t, nil
		}
	}
	if p.closed || p.wait <= 0 || p.waiting >= crowd*p.most || q != nil && len(q.waiters) >= p.most {
		p.mu.Unlock()
		return nil, errUnavailable
	}
	if q == nil {
		q = &queue{}
		p.services[service] = q
	}
	place := make(chan *gatewayEnd, 1)
	q.waiters = append(q.waiters, place)
	p.waiting++
	p.mu.Unlock()

	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	err := errUnavailable
	select {
	case t := <-place:
		return t, nil
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(q.waiters, place); i >= 0 {
		q.waiters = slices.Delete(q.waiters, i, i+1)
		p.waiting--
		p.forget(service)
		return nil, err
	}
	t := <-place // it came at the last moment
	if err == errUnavailable {
		return t, nil
	}
	p.giveBack(t)
	return nil, err
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
	var free []Conn
	for _, t := range q.tunnels {
		if t.free() {
			free = append(free, t.describe())
		}
	}
	if len(free) == 0 {
		return nil
	}
	t := p.pick(free).tunnel
	if t == nil || !t.free() || !slices.Contains(q.tunnels, t) {
		return nil // fail closed: what was not offered serves nobody
	}
	return t
}

// release gives a place back.
func (p *pool) release(t *gatewayEnd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBack(t)
}

func (p *pool) giveBack(t *gatewayEnd) {
	t.inFlight--
	if t.draining && t.inFlight == 0 {
		t.finish()
		return
	}
	if p.waiting > 0 {
		p.handOut(t.services)
	}
}

// handOut serves those who wait for one of these services.
func (p *pool) handOut(services []string) {
	for _, s := range services {
		for q := p.services[s]; q != nil && len(q.waiters) > 0; {
			t := p.choose(q)
			if t == nil {
				break
			}
			t.inFlight++
			q.waiters[0] <- t
			q.waiters = slices.Delete(q.waiters, 0, 1)
			p.waiting--
		}
	}
}

// add puts a tunnel into service. It is false when the pool is closed or full.
func (p *pool) add(t *gatewayEnd, most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.tunnels) >= most {
		return false
	}
	p.tunnels[t] = struct{}{}
	for _, s := range t.services {
		q := p.services[s]
		if q == nil {
			q = &queue{}
			p.services[s] = q
		}
		q.tunnels = append(q.tunnels, t)
	}
	p.handOut(t.services)
	return true
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

func (p *pool) conns() []Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Conn
	for t := range p.tunnels {
		out = append(out, t.describe())
	}
	slices.SortFunc(out, func(a, b Conn) int { return a.Since.Compare(b.Since) })
	return out
}
