package reverse

import (
	"context"
	"maps"
	"slices"
	"time"
)

// queue is one service: its tunnels and the requests that wait for a place. It exists while
// it has either.
type queue struct {
	service string
	tunnels []*gatewayTunnel
	waiters []*waiter // the oldest first
	next    int       // where the search for a tunnel begins, so that equal ones take turns
}

// waiter is a request that waits.
type waiter struct {
	number  uint64 // in order of arrival, over all services
	account *account
	place   chan *gatewayTunnel // receives one tunnel; closed if the request makes room for another
}

// maxQueues bounds the requests that wait in all: those of so many full queues. A caller
// may be able to choose the name of a service that no server serves.
const maxQueues = 8

// acquire returns a tunnel that serves the service, and gives one of its places to the
// holder. It waits for a place at most queueWait. The error is errUnavailable, a refusal
// with the reason limit, or that of ctx.
func (p *pool) acquire(ctx context.Context, service string, h holder) (*gatewayTunnel, error) {
	p.mu.Lock()
	a := p.account(h)
	q := p.queues[service]
	// A request that finds a place overtakes no waiting one: the waiting ones found none, or
	// their callers may not hold more.
	if q != nil && p.mayHoldMore(q, a) {
		if t := p.choose(q); t != nil {
			p.hold(t, a)
			p.mu.Unlock()
			return t, nil
		}
	}
	w, err := p.enqueue(q, service, a)
	p.deleteIfEmpty(a)
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}

	timer := time.NewTimer(p.queueWait)
	defer timer.Stop()
	select {
	case t, ok := <-w.place:
		if !ok {
			return nil, errDropped
		}
		return t, nil
	case <-timer.C:
		return p.stopWaiting(service, w, nil)
	case <-ctx.Done():
		return p.stopWaiting(service, w, ctx.Err())
	}
}

// stopWaiting takes a request out of its queue: because of ctxErr, or after queueWait if
// that is nil. A request that has received a place meanwhile keeps it in the second case.
func (p *pool) stopWaiting(service string, w *waiter, ctxErr error) (*gatewayTunnel, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := p.queues[service]; q != nil {
		if i := slices.Index(q.waiters, w); i >= 0 {
			err := ctxErr
			if err == nil {
				err = p.unavailableError(q, w.account)
			}
			p.dequeue(q, i)
			return nil, err
		}
	}
	t, ok := <-w.place
	switch {
	case !ok:
		return nil, errDropped
	case ctxErr == nil:
		return t, nil
	}
	p.releaseLocked(t, w.account)
	return nil, ctxErr
}

// unavailableError returns why a request gets no place: shareError if there are free places
// and the caller may not hold more.
func (p *pool) unavailableError(q *queue, a *account) error {
	if q != nil && slices.ContainsFunc(q.tunnels, (*gatewayTunnel).hasFreePlace) && !p.mayHoldMore(q, a) {
		return p.shareError(q, a)
	}
	return errUnavailable
}

// enqueue makes a request wait. q is nil for a service without tunnels and waiters.
func (p *pool) enqueue(q *queue, service string, a *account) (*waiter, error) {
	if p.closed || p.queueWait <= 0 {
		return nil, p.unavailableError(q, a)
	}
	if q != nil && len(q.waiters) >= p.queueLength && !p.makeRoom(a, q) ||
		p.waiting >= maxQueues*p.queueLength && !p.makeRoom(a, slices.Collect(maps.Values(p.queues))...) {
		return nil, p.unavailableError(q, a)
	}
	q = p.queue(service)
	p.waited++
	w := &waiter{number: p.waited, account: a, place: make(chan *gatewayTunnel, 1)}
	q.waiters = append(q.waiters, w)
	a.waiting++
	p.waiting++
	return w, nil
}

// queue returns the queue of a service, which it makes if necessary.
func (p *pool) queue(service string) *queue {
	q := p.queues[service]
	if q == nil {
		q = &queue{service: service}
		p.queues[service] = q
	}
	return q
}

// dequeue takes a request out of a queue.
func (p *pool) dequeue(q *queue, i int) *waiter {
	w := q.waiters[i]
	q.waiters = slices.Delete(q.waiters, i, i+1)
	p.waiting--
	w.account.waiting--
	p.deleteIfEmpty(w.account)
	p.deleteIfUnused(q.service)
	return w
}

// deleteIfUnused deletes a queue without tunnels and waiters, so that names which callers
// choose use no memory.
func (p *pool) deleteIfUnused(service string) {
	if q := p.queues[service]; q != nil && len(q.tunnels) == 0 && len(q.waiters) == 0 {
		delete(p.queues, service)
	}
}

// assign gives free places to requests that wait for one of these services, in order of
// arrival.
func (p *pool) assign(services []string) {
	for p.waiting > 0 {
		var from *queue
		var at int
		for _, s := range services {
			q := p.queues[s]
			if i := p.oldestWaiter(q); i >= 0 && (from == nil || q.waiters[i].number < from.waiters[at].number) {
				from, at = q, i
			}
		}
		if from == nil {
			return
		}
		t := p.choose(from)
		if t == nil { // Pick rejected all tunnels
			services = slices.DeleteFunc(slices.Clone(services), func(s string) bool { return s == from.service })
			continue
		}
		w := from.waiters[at]
		p.hold(t, w.account) // before dequeue, which deletes an empty account
		w.place <- t
		p.dequeue(from, at)
	}
}

// oldestWaiter returns the index of the first request that may have a place now, or -1.
func (p *pool) oldestWaiter(q *queue) int {
	if q == nil || len(q.waiters) == 0 || !slices.ContainsFunc(q.tunnels, (*gatewayTunnel).hasFreePlace) {
		return -1
	}
	var full *account // the account of the previous request: one caller may have many in a row
	for i, w := range q.waiters {
		if w.account != full && p.mayHoldMore(q, w.account) {
			return i
		}
		full = w.account
	}
	return -1
}
