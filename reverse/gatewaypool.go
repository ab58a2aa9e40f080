package reverse

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/panics"
)

// pool has the gateway's tunnels, and the requests that wait for a place in one.
type pool struct {
	maxTunnels  int
	queueWait   time.Duration
	queueLength int // requests that wait for one service
	share       int // percentage of a service's places that one holder alone may have
	pick        func([]Tunnel) Tunnel

	mu       sync.Mutex
	queues   map[string]*queue // by service
	tunnels  map[*gatewayTunnel]struct{}
	accounts map[holder]*account
	waiting  int    // requests
	waited   uint64 // requests that have ever waited
	closed   bool
}

func newPool(c GatewayConfig) pool {
	return pool{
		maxTunnels: c.MaxTunnels, queueWait: c.QueueWait, queueLength: c.QueueLength, share: c.CallerShare, pick: c.Pick,
		queues: map[string]*queue{}, tunnels: map[*gatewayTunnel]struct{}{}, accounts: map[holder]*account{},
	}
}

var errUnavailable = errors.New("reverse: no tunnel has a free place")

// choose returns a tunnel with a free place: the one with the fewest requests in flight,
// and one whose server is busy only if there is no other. It returns nil without any.
func (p *pool) choose(q *queue) *gatewayTunnel {
	if p.pick != nil {
		return p.callPick(q)
	}
	var best *gatewayTunnel
	bestIsBusy := false
	for i := range q.tunnels {
		t := q.tunnels[(q.next+i)%len(q.tunnels)]
		if !t.hasFreePlace() {
			continue
		}
		busy := t.isBusy()
		if best == nil || bestIsBusy && !busy || bestIsBusy == busy && t.inFlight < best.inFlight {
			best, bestIsBusy = t, busy
		}
	}
	q.next++
	return best
}

// callPick lets the program choose.
func (p *pool) callPick(q *queue) *gatewayTunnel {
	var free []Tunnel
	for _, t := range q.tunnels {
		if t.hasFreePlace() {
			free = append(free, t.describe())
		}
	}
	if len(free) == 0 {
		return nil
	}
	t := p.recoverPick(free)
	if t == nil || !t.hasFreePlace() || !slices.Contains(q.tunnels, t) {
		return nil // fail closed: Pick must choose one of its argument
	}
	return t
}

// recoverPick returns what Pick chooses, or nil if Pick panics: the pool's lock is held.
func (p *pool) recoverPick(free []Tunnel) *gatewayTunnel {
	var err error
	choice := func() Tunnel {
		defer panics.AsError(&err, "reverse: Pick")
		return p.pick(free)
	}()
	return choice.tunnel
}

// hold gives a place of a tunnel to a holder.
func (p *pool) hold(t *gatewayTunnel, a *account) {
	t.inFlight++
	a.places[t]++
}

// release takes a holder's place back.
func (p *pool) release(t *gatewayTunnel, h holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releaseLocked(t, p.accounts[h])
}

func (p *pool) releaseLocked(t *gatewayTunnel, a *account) {
	t.inFlight--
	if a.places[t]--; a.places[t] == 0 {
		delete(a.places, t)
	}
	p.deleteIfEmpty(a)
	if t.draining && t.inFlight == 0 {
		t.close()
		return
	}
	if p.waiting > 0 {
		p.assign(t.services)
	}
}

// add puts a tunnel into the pool if ok, which is called with the pool's lock held,
// returns true. The error is that the pool is closed or full.
func (p *pool) add(t *gatewayTunnel, ok func() bool) (added bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed || len(p.tunnels) >= p.maxTunnels:
		return false, errUnavailable
	case !ok():
		return false, nil
	}
	p.tunnels[t] = struct{}{}
	for _, s := range t.services {
		q := p.queue(s)
		q.tunnels = append(q.tunnels, t)
	}
	p.assign(t.services)
	return true, nil
}

// drain takes a tunnel out of service. It is closed after its last request.
func (p *pool) drain(t *gatewayTunnel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.draining = true
	p.leaveQueues(t)
}

// closeIfIdle closes a draining tunnel that has no request in flight.
func (p *pool) closeIfIdle(t *gatewayTunnel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.draining && t.inFlight == 0 {
		t.close()
	}
}

// remove takes a tunnel out of the pool.
func (p *pool) remove(t *gatewayTunnel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.draining = true
	p.leaveQueues(t)
	delete(p.tunnels, t)
}

func (p *pool) leaveQueues(t *gatewayTunnel) {
	for _, s := range t.services {
		if q := p.queues[s]; q != nil {
			q.tunnels = slices.DeleteFunc(q.tunnels, func(other *gatewayTunnel) bool { return other == t })
			p.deleteIfUnused(s)
		}
	}
	p.assign(t.services) // a caller's places here do not count any more: it may hold more elsewhere
}

// close refuses all later requests and tunnels, and returns the current tunnels.
func (p *pool) close() []*gatewayTunnel {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.list()
}

func (p *pool) list() []*gatewayTunnel {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.tunnels))
}

func (p *pool) describe() []Tunnel {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Tunnel
	for t := range p.tunnels {
		out = append(out, t.describe())
	}
	slices.SortFunc(out, func(a, b Tunnel) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Remote, b.Remote)) })
	return out
}
