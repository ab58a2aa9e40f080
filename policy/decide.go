package policy

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Errors of Decide. The decision beside them refuses with PolicyError.
var (
	ErrNoPolicy = errors.New("policy: there is no policy")
	ErrUser     = errors.New("policy: the request names no user")
)

var _ Decider = (*Engine)(nil)

// search is one request on its way through a tree.
type search struct {
	segments [maxSegments]uint32
	count    int  // of all segments, the first maxSegments alone are kept
	empty    bool // the last segment is
	method   uint32
	own      uint32
	groups   []uint32
	allow    uint32 // the first rule that allows so far, or nowhere
	deny     uint32 // the first rule that denies so far, or nowhere
}

// Decide answers one request. It allocates nothing, takes no lock and does not
// look at ctx, because it waits for nothing. The error is ErrNoPolicy for an
// engine that nobody built, ErrUser for what cannot be a user's name.
func (e *Engine) Decide(_ context.Context, r Request) (Decision, error) {
	if !e.loaded() {
		return Decision{Reason: reason.PolicyError}, ErrNoPolicy
	}
	if r.Caller == nil {
		c := e.find(r.User, r.Port)
		return e.decide(&c, r.Method, r.Path)
	}
	c := r.Caller.found.Load()
	if c == nil || c.engine != e || c.user != r.User || c.onPort != r.Port {
		looked := e.find(r.User, r.Port)
		c = &looked
		r.Caller.found.Store(c)
	}
	return e.decide(c, r.Method, r.Path)
}

// Caller remembers what an Engine found out about a user on a port; see Request. What
// it holds of another engine, user or port is looked up again. The zero value is
// empty. A Caller is safe for concurrent use, and must not be copied.
type Caller struct{ found atomic.Pointer[caller] }

// caller is a user on a port, looked up.
type caller struct {
	engine       *Engine
	user, onPort string
	person       person
	port         uint32 // root of the port's own rules
	err          error
}

// find looks a user and a port up.
func (e *Engine) find(user, port string) caller {
	c := caller{engine: e, user: user, onPort: port}
	if id := e.graph.users.find(user); id != nowhere {
		c.person = e.people[id]
	} else if !isUser(user) {
		c.err = ErrUser // a group's name, or nobody's
	} else {
		c.person = e.person(user)
	}
	if id := e.ports.find(port); id != nowhere {
		c.port = e.roots[id]
	}
	return c
}

// decide answers one request of a caller.
func (e *Engine) decide(c *caller, method, path string) (Decision, error) {
	if c.err != nil {
		return Decision{Reason: reason.PolicyError}, c.err
	}
	s := search{
		method: e.words.bit(method), own: c.person.own, groups: e.lists[c.person.list.from:c.person.list.to],
		allow: nowhere, deny: nowhere,
	}
	if s.method == 0 || s.own == 0 && len(s.groups) == 0 {
		return Decision{Reason: reason.NoRule}, nil
	}
	port := c.port
	if path == starPath {
		for _, root := range [2]uint32{e.anyPort, port} {
			if n := e.child(root, starSegment); root != 0 && n != 0 {
				e.weigh(&s, e.nodes[n].end)
			}
		}
	} else if e.split(&s, path) {
		e.walk(&s, e.anyPort, 0)
		if port != 0 {
			e.walk(&s, port, 0)
		}
	}
	switch {
	case s.deny != nowhere:
		return Decision{Reason: reason.Denied, Rule: e.rulePos.at(int(s.deny))}, nil
	case s.allow != nowhere:
		return Decision{Allowed: true, Rule: e.rulePos.at(int(s.allow))}, nil
	default:
		return Decision{Reason: reason.NoRule}, nil
	}
}

// What a byte of a path can be.
const (
	plain = iota
	slash
	high // part of a character beyond ASCII
	never
)

var kinds = func() (k [256]uint8) {
	for b := range k {
		switch {
		case b < 0x20, b == 0x7f, b == '\\':
			k[b] = never
		case b >= utf8.RuneSelf:
			k[b] = high
		}
	}
	k['/'] = slash
	return k
}()

// split finds the segments of a path, and reports whether the path can be read in
// one way only. No rule matches others: fail closed, whoever let them come.
func (e *Engine) split(s *search, path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	beyondASCII, start := false, 1
	for i := 1; i <= len(path); i++ {
		if i < len(path) {
			switch kinds[path[i]] {
			case plain:
				continue
			case high:
				beyondASCII = true
				continue
			case never:
				return false
			}
		}
		segment := path[start:i]
		start = i + 1
		switch segment {
		case "":
			if i < len(path) {
				return false
			}
			s.empty = true
		case ".", "..":
			return false
		}
		if s.count < maxSegments {
			s.segments[s.count] = e.segments.find(segment)
		}
		s.count++
	}
	return !beyondASCII || utf8.ValidString(path)
}

// walk visits every node below one, at a depth, that the path can reach. A tree
// has one way to each of its nodes, so none is visited twice: a walk forks where
// {name} and a literal both match, but never costs more than the rules have nodes,
// and never goes deeper than maxSegments.
func (e *Engine) walk(s *search, at uint32, depth int) {
	for ; ; depth++ {
		n := &e.nodes[at]
		if depth == s.count {
			e.weigh(s, n.end)
			return
		}
		e.weigh(s, n.below) // at least one segment follows, if only an empty one
		if depth == maxSegments {
			return // no rule goes deeper
		}
		literal := uint32(0)
		if id := s.segments[depth]; n.literals != 0 && id != nowhere {
			literal = e.child(at, id)
		}
		param := n.param
		if s.empty && depth == s.count-1 {
			param = 0 // {name} is never nothing
		}
		switch {
		case literal == 0 && param == 0:
			return
		case literal == 0:
			at = param
		default:
			if param != 0 {
				e.walk(s, param, depth+1)
			}
			at = literal
		}
	}
}

// few is how many entries are read one after the other sooner than searched.
const few = 8

// weigh looks for the user's subjects among the entries of a place. It goes
// through the shorter of the two lists, so that neither a rule set with a line
// for everyone nor a user with many groups is slow.
func (e *Engine) weigh(s *search, at span) {
	if at.from == at.to {
		return
	}
	entries := e.entries[at.from:at.to]
	if len(entries) <= few || len(entries) <= len(s.groups) {
		for i := range entries {
			en := &entries[i]
			if en.methods&s.method != 0 && (en.subject == s.own || contains(s.groups, en.subject)) {
				s.take(en.rule)
			}
		}
		return
	}
	if s.own != 0 {
		s.find(entries, s.own)
	}
	for _, id := range s.groups {
		s.find(entries, id)
	}
}

// find takes the entries of one subject.
func (s *search) find(entries []entry, subject uint32) {
	low, high := 0, len(entries)
	for low < high {
		middle := int(uint(low+high) >> 1) // both are indices
		if entries[middle].subject < subject {
			low = middle + 1
		} else {
			high = middle
		}
	}
	for ; low < len(entries) && entries[low].subject == subject; low++ {
		if entries[low].methods&s.method != 0 {
			s.take(entries[low].rule)
		}
	}
}

// take remembers the first rule of each effect.
func (s *search) take(rule uint32) {
	if rule&denyBit != 0 {
		s.deny = min(s.deny, rule&^denyBit)
	} else {
		s.allow = min(s.allow, rule)
	}
}

// contains looks for id in an ascending list.
func contains(list []uint32, id uint32) bool {
	if len(list) > few {
		_, found := slices.BinarySearch(list, id)
		return found
	}
	for _, have := range list {
		if have == id {
			return true
		}
	}
	return false
}
