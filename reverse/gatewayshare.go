package reverse

import (
	"fmt"
	"net/netip"

	"github.com/mtlsguard/mtlsguard/internal/callershare"
	"github.com/mtlsguard/mtlsguard/internal/connlimit"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// holder identifies a caller whose places are counted together: by its certificate, or
// without one by its address (an IPv6 /64). Callers with certificates may share an address.
type holder struct {
	leaf trust.Digest
	addr netip.Prefix
}

// holderOf returns the holder of a request. All addresses that cannot be parsed share the
// zero prefix.
func holderOf(caller trust.Verified, remote string) holder {
	if !caller.IsZero() {
		return holder{leaf: caller.Fingerprint()}
	}
	addr, _ := netip.ParseAddrPort(remote)
	return holder{addr: connlimit.Of(addr)}
}

// account counts what one holder has. The pool deletes it when it is empty.
type account struct {
	holder  holder
	places  map[*gatewayTunnel]int // requests in flight, by tunnel
	waiting int                    // requests in queues
}

// errDropped is the refusal of a request that makeRoom has dropped.
var errDropped = reason.Refuse(reason.Limit, "the caller holds its share of the places: it had the most requests waiting, and the newest of them made room")

// shareError returns the refusal of a holder that may not hold more places of a service. q may
// be nil.
func (p *pool) shareError(q *queue, a *account) error {
	held, free := p.places(q, a)
	return reason.Refuse(reason.Limit, fmt.Sprintf("the caller %s holds its share of the places: it has %d, %d are free, and one caller may have %d %%", a.holder, held, free, p.share))
}

// String returns the fingerprint or the address of a holder.
func (h holder) String() string {
	switch {
	case h.addr.IsValid():
		return h.addr.String()
	case h.leaf.IsZero():
		return "without an address"
	}
	return h.leaf.String()
}

// account returns the account of a holder, which it makes if necessary.
func (p *pool) account(h holder) *account {
	a := p.accounts[h]
	if a == nil {
		a = &account{holder: h, places: map[*gatewayTunnel]int{}}
		p.accounts[h] = a
	}
	return a
}

// deleteIfEmpty deletes an account without places and waiting requests.
func (p *pool) deleteIfEmpty(a *account) {
	if len(a.places) == 0 && a.waiting == 0 {
		delete(p.accounts, a.holder)
	}
}

// mayHoldMore reports whether a holder may have one more place of a service.
func (p *pool) mayHoldMore(q *queue, a *account) bool {
	held, free := p.places(q, a)
	return callershare.MayHoldMore(held, free, p.share)
}

// places returns how many places of a service a holder has, and how many are free.
func (p *pool) places(q *queue, a *account) (held, free int) {
	if q == nil {
		return 0, 0
	}
	for _, t := range q.tunnels {
		held += a.places[t]
		free += t.limit - t.inFlight
	}
	return held, free
}

// makeRoom drops a waiting request of the holder that has the most of them, for a request
// of a holder that has fewer. It reports false if there is no such request.
func (p *pool) makeRoom(a *account, queues ...*queue) bool {
	var from *queue
	var at int
	for _, q := range queues {
		for i, w := range q.waiters {
			if w.account.waiting > a.waiting+1 && (from == nil || w.isDroppedBefore(from.waiters[at])) {
				from, at = q, i
			}
		}
	}
	if from == nil {
		return false
	}
	close(p.dequeue(from, at).place)
	return true
}

// isDroppedBefore reports whether w makes room rather than other: the newest request of the
// holder with the most goes first.
func (w *waiter) isDroppedBefore(other *waiter) bool {
	if w.account.waiting != other.account.waiting {
		return w.account.waiting > other.account.waiting
	}
	return w.number > other.number
}
