package policy

import (
	"context"
	"errors"

	"github.com/mtlsguard/mtlsguard/internal/policycache"
	"github.com/mtlsguard/mtlsguard/internal/rulepath"
	"github.com/mtlsguard/mtlsguard/reason"
)

// The errors of Decide. The decision beside them refuses with PolicyError.
var (
	errNoPolicy = errors.New("policy: there is no policy")
	errUser     = errors.New("policy: the request names no user")
)

var _ Decider = (*Engine)(nil)

// Decide answers one request. It takes no lock, ignores ctx, because it never waits, and
// allocates nothing: except for users with so many groups that these are not kept, if
// Caller is nil. It fails for a nil Engine, for the zero value, and for a
// request whose User cannot be a user's name.
func (e *Engine) Decide(_ context.Context, r Request) (Decision, error) {
	if !e.isBuilt() {
		return Decision{Reason: reason.PolicyError}, errNoPolicy
	}
	var c *caller
	if r.Caller != nil {
		c, _ = r.Caller.Load().(*caller)
	}
	switch {
	case r.Caller == nil:
		return e.decideUncached(r.User, r.Port, r.Method, r.Path)
	case c == nil || c.engine != e || c.user != r.User || c.onPort != r.Port:
		c = e.cache(r.Caller, r.User, r.Port)
	}
	return e.decision(e.find(c, r.Method, r.Path), c)
}

// decideUncached decides without a cache.
//
//go:noinline // its frame: on HTTP/2 the stack of each request's goroutine grows for what is deep
func (e *Engine) decideUncached(user, port, method, path string) (Decision, error) {
	c := e.lookUp(user, port)
	return e.decision(e.find(&c, method, path), &c)
}

// cache looks up a user and a port and keeps the result.
//
//go:noinline // as decideUncached
func (e *Engine) cache(entry *policycache.Entry, user, port string) *caller {
	c := e.lookUp(user, port)
	entry.Store(&c)
	return &c
}

// caller is a user on a port, looked up in an engine.
type caller struct {
	engine       *Engine
	user, onPort string
	own          uint32   // the user's own subject, or noID
	groups       []uint32 // the subjects of the user's groups, ascending
	root         uint32   // of the port's own rules, or 0
	err          error
}

// lookUp looks up a user and a port.
func (e *Engine) lookUp(user, port string) caller {
	c := caller{engine: e, user: user, onPort: port, own: noID}
	if u, id := e.user(user); id != noID || isUser(user) {
		c.own, c.groups = u.own, e.subjects(u, id)
	} else {
		c.err = errUser // the name of a group, or no name
	}
	if id := e.ports.find(port); id != noID {
		c.root = e.roots[id]
	}
	return c
}

// decision returns the decision by a rule that find has found.
//
//go:noinline // as decideUncached
func (e *Engine) decision(rule uint32, c *caller) (Decision, error) {
	switch {
	case c.err != nil:
		return Decision{Reason: reason.PolicyError}, c.err
	case rule == noID:
		return Decision{Reason: reason.NoRule}, nil
	case rule&denyBit != 0:
		return Decision{Reason: reason.Denied, Rule: e.rules.position(int(rule &^ denyBit))}, nil
	default:
		return Decision{Allowed: true, Rule: e.rules.position(int(rule))}, nil
	}
}

// find returns the rule that decides about a request of a caller, with denyBit if it denies,
// or noID.
func (e *Engine) find(c *caller, method, path string) (rule uint32) {
	if c.err != nil {
		return noID
	}
	var s search // and no literal, which would be built beside it
	s.method, s.user, s.own, s.groups = e.vocabulary.bit(method), rulepath.OwnName(c.user), c.own, c.groups
	s.allow, s.deny = noID, noID
	if s.method == 0 || s.own == noID && len(s.groups) == 0 {
		return noID
	}
	if path == rulepath.Star {
		for _, root := range [2]uint32{e.anyPort, c.root} {
			if n := e.child(root, starSegment); n != 0 {
				e.match(&s, e.nodes[n].end)
			}
		}
	} else if s.split(path) {
		e.walk(&s, e.anyPort, 0)
		if c.root != 0 {
			e.walk(&s, c.root, 0)
		}
	}
	if s.deny != noID {
		return s.deny | denyBit
	}
	return s.allow
}
