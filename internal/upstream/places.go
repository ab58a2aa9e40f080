package upstream

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/callershare"
	"github.com/mtlsguard/mtlsguard/internal/connlimit"
)

// holder identifies a caller whose requests are counted together: by its certificate, or without
// one by its address (an IPv6 /64). Callers whose address is unknown too share one holder.
type holder struct {
	fingerprint string
	addr        netip.Prefix
}

func holderOf(id *identity.Identity, remote string) holder {
	if id.Fingerprint != "" {
		return holder{fingerprint: id.Fingerprint}
	}
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		return holder{}
	}
	return holder{addr: connlimit.Of(netip.AddrPortFrom(addr, 0))}
}

// places are the requests that may be under way at one time. Callers are slow, or take no
// answers: one of them must not hold all places.
type places struct {
	share int // the percentage that one holder alone may have
	mu    sync.Mutex
	all   int
	taken int
	held  map[holder]int // without zeros, so that all bounds its length
}

func newPlaces(all, share int) *places {
	return &places{all: all, share: share, held: map[holder]int{}}
}

// take takes a place, which free gives back. The error names the limit that is reached.
func (p *places) take(h holder) (free func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.taken >= p.all:
		return nil, fmt.Errorf("%d requests are under way, the limit of requests", p.all)
	case !callershare.MayHoldMore(p.held[h], p.all-p.taken, p.share):
		return nil, fmt.Errorf("the caller has %d requests under way, %d more are free, and one caller may have %d %%, the limit of caller_share", p.held[h], p.all-p.taken, p.share)
	}
	p.taken++
	p.held[h]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.taken--
		if p.held[h]--; p.held[h] == 0 {
			delete(p.held, h)
		}
	}, nil
}
