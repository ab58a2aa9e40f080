package middleware

import (
	"sync/atomic"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
)

// callerConn is a connection that only has a caller.
type callerConn struct {
	connstate.Conn
	caller atomic.Pointer[connstate.Caller]
}

func (c *callerConn) Caller() *connstate.Caller { return c.caller.Load() }

func (c *callerConn) SetCaller(caller *connstate.Caller) { c.caller.Store(caller) }

// BenchmarkSetCaller measures the cost of storing the caller of a request with its connection. The caller
// of the connection's own certificate is cached with it, and skips this. "another" is the worst case: a
// gateway whose callers take turns; "nothing" is the benchmark itself.
func BenchmarkSetCaller(b *testing.B) {
	a, other := &identity.Identity{User: "alice", MappingID: "alice-2026", Via: identity.Forwarded}, &identity.Identity{User: "bob", MappingID: "bob", Via: identity.Forwarded}
	for name, second := range map[string]*identity.Identity{"nothing": a, "the same": a, "another": other} {
		b.Run(name, func(b *testing.B) {
			c, first, next := &call{conn: &callerConn{}}, callerOf(a), callerOf(second)
			if second == a {
				next = first
			}
			for i := 0; b.Loop(); i++ {
				if c.Identity, c.who = a, first; i&1 == 1 {
					c.Identity, c.who = second, next
				}
				if name != "nothing" {
					c.setCaller()
				}
			}
		})
	}
}
