package policy

import (
	"context"
	"errors"

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
	if r.Caller == nil {
		c := e.lookUp(r.User, r.Port)
		return e.decide(&c, r.Method, r.Path)
	}
	c, ok := r.Caller.Load().(*caller)
	if !ok || c.engine != e || c.user != r.User || c.onPort != r.Port {
		found := e.lookUp(r.User, r.Port)
		c = &found
		r.Caller.Store(c)
	}
	return e.decide(c, r.Method, r.Path)
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

// decide answers one request of a caller.
func (e *Engine) decide(c *caller, method, path string) (Decision, error) {
	if c.err != nil {
		return Decision{Reason: reason.PolicyError}, c.err
	}
	s := search{
		method: e.vocabulary.bit(method), user: ownName(c.user), own: c.own, groups: c.groups,
		allow: noID, deny: noID,
	}
	if s.method == 0 || s.own == noID && len(s.groups) == 0 {
		return Decision{Reason: reason.NoRule}, nil
	}
	if path == starPath {
		for _, root := range [2]uint32{e.anyPort, c.root} {
			if n := e.child(root, starSegment); n != 0 {
				e.match(&s, e.nodes[n].end)
			}
		}
	} else if e.split(&s, path) {
		e.walk(&s, e.anyPort, 0)
		if c.root != 0 {
			e.walk(&s, c.root, 0)
		}
	}
	switch {
	case s.deny != noID:
		return Decision{Reason: reason.Denied, Rule: e.rules.position(int(s.deny))}, nil
	case s.allow != noID:
		return Decision{Allowed: true, Rule: e.rules.position(int(s.allow))}, nil
	default:
		return Decision{Reason: reason.NoRule}, nil
	}
}
