package mtlsguard

import (
	"slices"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// counts holds the counters of one port. They are exact, also when log lines are sampled.
type counts struct {
	port                string
	allowed, failed     atomic.Uint64
	refused, handshakes [32]atomic.Uint64 // refusals, by the index of the reason in reasons
}

var reasons = reason.All()

// indexOf returns the index of a reason in the counters. Unknown reasons share the last
// index, which no known reason has.
func indexOf(r reason.Reason) int {
	if i := slices.Index(reasons, r); i >= 0 {
		return i
	}
	return len(counts{}.refused) - 1
}

// byReason returns the counters that are not zero.
func byReason(all *[32]atomic.Uint64) map[reason.Reason]uint64 {
	out := map[reason.Reason]uint64{}
	for i, r := range reasons {
		if n := all[i].Load(); n > 0 {
			out[r] = n
		}
	}
	return out
}

func (c *counts) countDecision(allowed bool, r reason.Reason) {
	if allowed {
		c.allowed.Add(1)
	} else {
		c.refused[indexOf(r)].Add(1)
	}
}

func (c *counts) countHandshake(h *ports.Handshake) {
	switch {
	case h.Reason != "":
		c.handshakes[indexOf(h.Reason)].Add(1)
	case h.Err != nil:
		c.failed.Add(1)
	}
}

// countsOf returns the counters of a port. It scans: a linear scan beats a map for a
// handful of ports.
func (s *Server) countsOf(port string) *counts {
	for _, c := range s.counts {
		if c.port == port {
			return c
		}
	}
	return nil
}
