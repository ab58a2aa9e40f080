package middleware

import (
	"context"
	"net/http"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Authorize lets the policy decide about a request that Identify let through, with the path as the
// handler here sees it. Without Identify of the same guard outside, it refuses.
func (g *Guard) Authorize(next http.Handler) http.Handler {
	if isNil(next) {
		return withoutNext(g)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := g.snapshot.Load()
		if s == nil {
			refuseUnconfigured(w, r)
			return
		}
		start := s.startTime()
		outer, ok := r.Context().Value(identifiedKey{}).(*identified)
		if !ok || outer.guard != g {
			// Fail closed: the caller is unknown, or a guard with other rules named it.
			c := call{request: r, Outcome: Outcome{Method: r.Method, Path: sentPath(r), Generation: s.Generation}}
			c.refuse(reason.PolicyError, "Authorize is used without Identify of the same guard outside it")
			s.observe(&c, start)
			s.writeRefusal(w, &c)
			return
		}
		c := outer.call
		c.request = r
		s = outer.snapshot // the generation that named the caller also decides
		if !s.passes(&c, onlyDecide) {
			s.observe(&c, start)
			s.writeRefusal(w, &c)
			return
		}
		s.observe(&c, start)
		inner := withoutRawPath(r)
		defer passForm(r, inner)
		next.ServeHTTP(w, inner)
	})
}

// identified is what Identify hands to Authorize in the request's context.
type identified struct {
	guard    *Guard
	snapshot *snapshot
	call     call
}

type identifiedKey struct{}

// withIdentified returns a context for Authorize.
//
//go:noinline // its frame, see handler.ServeHTTP
func withIdentified(ctx context.Context, g *Guard, s *snapshot, c *call) context.Context {
	return context.WithValue(ctx, identifiedKey{}, &identified{guard: g, snapshot: s, call: *c})
}
