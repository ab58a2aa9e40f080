package reverse

import (
	"net/netip"

	"github.com/mtlsguard/mtlsguard/internal/connlimit"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// holder is a caller whose places are counted together: a certificate, or without one
// an address (an IPv6 /64). Callers with certificates may share an address.
type holder struct {
	leaf trust.Digest
	addr netip.Prefix
}

// holderOf is the holder of a request. An address that cannot be read is the zero
// prefix: all of these share one account.
func holderOf(caller trust.Verified, remote string) holder {
	if !caller.IsZero() {
		return holder{leaf: caller.Fingerprint()}
	}
	addr, _ := netip.ParseAddrPort(remote)
	return holder{addr: connlimit.Of(addr)}
}

// account is what one holder has. The pool forgets it when it has nothing.
type account struct {
	holder  holder
	places  map[*gatewayEnd]int // requests under way, by tunnel
	waiting int                 // requests in queues
}

var errShare = reason.Refuse(reason.Limit, "the caller holds its share of the places")

// account returns what a holder has.
func (p *pool) account(h holder) *account {
	a := p.accounts[h]
	if a == nil {
		a = &account{holder: h, places: map[*gatewayEnd]int{}}
		p.accounts[h] = a
	}
	return a
}

// closeAccount forgets a holder that has nothing.
func (p *pool) closeAccount(a *account) {
	if len(a.places) == 0 && a.waiting == 0 {
		delete(p.accounts, a.holder)
	}
}

// mayHold reports whether a holder may have one more place of a service. What it holds
// is compared with what is free (a dynamic threshold): with a share of 50 it must hold
// fewer places than are free. A caller alone gets half, two get a third each, and
// however many take what they can, some are left for the next.
func (p *pool) mayHold(q *queue, a *account) bool {
	held, free := 0, 0
	for _, t := range q.tunnels {
		held += a.places[t]
		free += t.limit - t.inFlight
	}
	return held*(100-p.share) < free*p.share
}

// makeRoom drops a request that waits, of the holder with the most of them, for one of
// a holder with fewer. It reports false when there is none.
func (p *pool) makeRoom(a *account, among ...*queue) bool {
	var from *queue
	var at int
	for _, q := range among {
		for i, w := range q.waiters {
			if w.account.waiting > a.waiting+1 && (from == nil || from.waiters[at].before(w)) {
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

// before reports whether the other is the one to drop: the newest of the holder with
// the most.
func (w *waiter) before(other *waiter) bool {
	if w.account.waiting != other.account.waiting {
		return w.account.waiting < other.account.waiting
	}
	return w.number < other.number
}
