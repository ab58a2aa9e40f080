package middleware

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/reason"
)

// RequireGroup returns a middleware, such as for chi's With, that lets through the callers who are
// in one of the groups. It must be inside Handler or Authorize, and adds to the policy: a request
// that the policy refuses stays refused. Other callers get a refusal with reason.Denied, which is
// observed and explained like those of the policy; a caller without a certificate gets the
// challenge of the port's authenticators.
//
// Fail closed: without groups every request is refused, and so is, with reason.PolicyError, a
// request that has no identity because no guard stands outside.
func (g *Guard) RequireGroup(groups ...string) func(http.Handler) http.Handler {
	groups = slices.Clone(groups)
	return g.require(fmt.Sprintf("one of the groups %q", groups), func(id *identity.Identity) bool {
		return slices.ContainsFunc(groups, id.In)
	})
}

// RequireUser is RequireGroup for users, by name. The anonymous user Default is never let
// through.
func (g *Guard) RequireUser(users ...string) func(http.Handler) http.Handler {
	users = slices.Clone(users)
	return g.require(fmt.Sprintf("one of the users %q", users), func(id *identity.Identity) bool {
		return id.Via != identity.ViaAnonymous && id.User != identity.Default && slices.Contains(users, id.User)
	})
}

// require returns a middleware that lets through the callers for whom fulfils returns true.
func (g *Guard) require(what string, fulfils func(*identity.Identity) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if isNil(next) {
			return withoutNext(g)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, ok := identity.FromContext(r.Context())
			if ok && fulfils(&id) {
				next.ServeHTTP(w, r)
				return
			}
			s := g.snapshot.Load()
			if s == nil {
				refuseUnconfigured(w, r)
				return
			}
			start := s.startTime()
			c := call{request: r, Outcome: Outcome{Method: r.Method, Path: sentPath(r), Generation: s.Generation}}
			if ok {
				s.refuseRequired(&c, &id, what)
			} else {
				c.refuse(reason.PolicyError, "the handler requires "+what+", and is used without a guard outside it")
			}
			s.observe(&c, start)
			s.writeRefusal(w, &c)
		})
	}
}

// refuseRequired refuses a caller who does not fulfil what a handler requires.
func (s *snapshot) refuseRequired(c *call, id *identity.Identity, what string) {
	c.Identity, c.Port, c.port = id, id.Port, s.portNamed(id.Port)
	if id.Leaf != nil {
		c.Presented = []*x509.Certificate{id.Leaf} // also behind a gateway: it is the caller's
	}
	if conn, ok := connstate.FromContext(c.request.Context()); ok {
		c.ServerName = conn.ServerName()
	}
	c.refuse(reason.Denied, "the handler requires "+what)
	if id.Via == identity.ViaAnonymous {
		c.challenge()
	}
}
