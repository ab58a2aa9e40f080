// Package connlimit bounds connections, in total and by address.
package connlimit

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Counter counts connections, in total and by address. It keeps no entry for an address
// without connections, so the total bounds its memory. It is safe for concurrent use.
type Counter struct {
	mu     sync.Mutex
	freed  *sync.Cond
	used   int
	most   int
	perIP  int
	byAddr map[netip.Prefix]int
}

// New returns a Counter that allows most connections at one time, and perIP of one address.
func New(most, perIP int) *Counter {
	c := &Counter{most: most, perIP: perIP, byAddr: map[netip.Prefix]int{}}
	c.freed = sync.NewCond(&c.mu)
	return c
}

// SetMost changes the limits.
func (c *Counter) SetMost(most, perIP int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most, c.perIP = most, perIP
	c.freed.Broadcast()
}

// Take waits for a free slot. It returns false when stopped does; there is no slot to give
// back then.
func (c *Counter) Take(stopped func() bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.used >= c.most && !stopped() {
		c.freed.Wait()
	}
	if stopped() {
		return false
	}
	c.used++
	return true
}

// Give gives a slot back.
func (c *Counter) Give() {
	c.mu.Lock()
	c.used--
	c.mu.Unlock()
	c.freed.Broadcast()
}

// Wake makes Take call stopped again.
func (c *Counter) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.freed.Broadcast()
}

// TakeAddr counts a connection of one address. It returns false, and counts nothing, when the
// address has its limit.
func (c *Counter) TakeAddr(a netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byAddr[a] >= c.perIP {
		return false
	}
	c.byAddr[a]++
	return true
}

// Held returns how many connections an address has, and how many it may have.
func (c *Counter) Held(a netip.Prefix) (held, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byAddr[a], c.perIP
}

// Describe returns how many connections an address has, in words. limit names the limit.
func (c *Counter) Describe(a netip.Prefix, limit string) string {
	held, most := c.Held(a)
	who := "an address without IP"
	switch {
	case a.IsSingleIP():
		who = a.Addr().String()
	case a.IsValid():
		who = a.String()
	}
	return fmt.Sprintf("too many connections of one address: %s has %d, %s is %d", who, held, limit, most)
}

// GiveAddr undoes TakeAddr.
func (c *Counter) GiveAddr(a netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byAddr[a]--; c.byAddr[a] <= 0 {
		delete(c.byAddr, a)
	}
}

// AddrOf returns the prefix that counts as one address: an IPv4 address, or an IPv6 /64, the
// network of one subscriber. All other kinds of addresses count as one, the zero Prefix.
func AddrOf(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return Of(t.AddrPort())
}

// Of is AddrOf for a parsed address.
func Of(a netip.AddrPort) netip.Prefix {
	ip := a.Addr().Unmap().WithZone("")
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
