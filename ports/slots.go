package ports

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// slots counts connections, over all and by address. Nothing is kept for an
// address without connections, so that the map is bounded by the count.
type slots struct {
	mu     sync.Mutex
	freed  *sync.Cond
	used   int
	most   int
	perIP  int
	byAddr map[netip.Prefix]int
}

func (s *slots) setMost(most, perIP int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.freed == nil {
		s.freed, s.byAddr = sync.NewCond(&s.mu), map[netip.Prefix]int{}
	}
	s.most, s.perIP = most, perIP
	s.freed.Broadcast()
}

// take waits for a free slot. It reports false when stopped does: then there is
// nothing to give back.
func (s *slots) take(stopped func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.used >= s.most && !stopped() {
		s.freed.Wait()
	}
	if stopped() {
		return false
	}
	s.used++
	return true
}

func (s *slots) give() {
	s.mu.Lock()
	s.used--
	s.mu.Unlock()
	s.freed.Broadcast()
}

// wake makes take ask stopped again.
func (s *slots) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freed.Broadcast()
}

// takeAddr counts a connection of one address, unless it has too many.
func (s *slots) takeAddr(a netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byAddr[a] >= s.perIP {
		return false
	}
	s.byAddr[a]++
	return true
}

func (s *slots) giveAddr(a netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byAddr[a]--; s.byAddr[a] <= 0 {
		delete(s.byAddr, a)
	}
}

// addrOf is what counts as one address: an IPv4 address, or an IPv6 /64, which is
// what one subscriber gets. Addresses of another kind are all one.
func addrOf(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := t.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// gate bounds how many handshakes compute at one time.
type gate struct {
	mu    sync.Mutex
	freed *sync.Cond
	in    int
	most  int
}

func newGate(most int) *gate {
	g := &gate{most: most}
	g.freed = sync.NewCond(&g.mu)
	return g
}

func (g *gate) setMost(most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = most
	g.freed.Broadcast()
}

// enter waits for a place, at the longest until the handshake's deadline.
func (g *gate) enter(until time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in >= g.most {
		timer := time.AfterFunc(time.Until(until), func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.freed.Broadcast()
		})
		defer timer.Stop()
		for g.in >= g.most {
			if !time.Now().Before(until) {
				return os.ErrDeadlineExceeded
			}
			g.freed.Wait()
		}
	}
	g.in++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	g.in--
	g.mu.Unlock()
	g.freed.Signal()
}
