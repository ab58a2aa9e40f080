package admin

import (
	"cmp"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
)

// recorder remembers refusals and the use of mappings. It is safe for concurrent use.
//
// Refusals of callers whose certificate is trusted have a ring of their own: else any client that
// can open a connection could push them out.
type recorder struct {
	sequence           atomic.Uint64
	callers, strangers *ring
	minutes            minutes
	seen               lastSeen
}

// Bounds of both rings together.
const (
	maxRefusals          = 10_000
	maxKnownCertificates = 4096
	maxBytes             = 10 << 20
)

// Observe records a decision. Set it as mtlsguard.Options.Observe.
func (p *Page) Observe(r *http.Request, o middleware.Outcome) {
	if o.Allowed {
		if o.Identity != nil && o.Identity.MappingID != "" {
			p.seen.mark(o.Identity)
		}
		return
	}
	p.observeRefusal(r, &o)
}

// observeRefusal is apart from Observe, and not inlined: its variables would take from the
// stack of every allowed request.
//
//go:noinline
func (p *Page) observeRefusal(r *http.Request, o *middleware.Outcome) {
	now := p.config.Now()
	p.minutes.add(o.Port, o.Reason, now)
	x := newRequestRefusal(r, o, now)
	x.sequence = p.sequence.Add(1)
	known := !o.Verified.IsZero() || o.Identity != nil && o.Identity.Via != identity.ViaAnonymous
	p.ringFor(known).add(x, presented(o))
}

// OnHandshake records a refused handshake. Set it as mtlsguard.Options.OnHandshake.
func (p *Page) OnHandshake(h ports.Handshake) {
	if h.Reason == "" {
		return
	}
	now := p.config.Now()
	p.minutes.add(h.Port, h.Reason, now)
	sequence := p.sequence.Add(1)
	x := newHandshakeRefusal(&h, now, sequence)
	x.sequence = sequence
	p.strangers.add(x, h.Presented)
}

func (r *recorder) ringFor(known bool) *ring {
	if known {
		return r.callers
	}
	return r.strangers
}

// refusals returns all refusals, newest first.
func (r *recorder) refusals() []*refusal {
	out := append(r.callers.all(), r.strangers.all()...)
	slices.SortFunc(out, func(a, b *refusal) int { return cmp.Compare(b.sequence, a.sequence) })
	return out
}

// find returns the refusal with a reference, or nil.
func (r *recorder) find(id string) *refusal {
	for _, g := range []*ring{r.callers, r.strangers} {
		for _, x := range g.all() {
			if x.id == id {
				return x
			}
		}
	}
	return nil
}
