package policy

import (
	"slices"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/internal/rulepath"
)

// search is one request on its way through a tree.
type search struct {
	path   string
	ends   [rulepath.MaxSegments]uint32 // of the segments in path; those beyond rulepath.MaxSegments are not kept
	known  [rulepath.MaxSegments]uint32 // what is known of each segment; see search.id
	count  int                          // of all segments
	empty  bool                         // the last segment is empty
	user   string                       // what {user} matches, or ""
	isOwn  uint32                       // bit i: segment i is the user
	method uint32
	own    uint32   // the user's own subject, or noID
	groups []uint32 // the subjects of the user's groups
	allow  uint32   // the first rule that allows so far, or noID
	deny   uint32   // the first rule that denies so far, or noID
}

// id returns the id of a segment, or noID. Most of a decision's time is the hashing of
// segments, so only those are looked up that a literal of a rule could match, and once.
func (s *search) id(e *Engine, depth int) uint32 {
	known := s.known[depth]
	if known == 0 {
		from := uint32(1)
		if depth > 0 {
			from = s.ends[depth-1] + 1
		}
		slot, _ := e.segments.slot(s.path[from:s.ends[depth]])
		known = slot.next + 1 // 1: no rule names it
		s.known[depth] = known
	}
	return known - 2 // noID for 1
}

// The kinds of bytes in a path. The first two stand within a segment.
const (
	plain = iota
	nonASCII
	slash
	forbidden
)

var byteKinds = func() (kinds [256]uint8) {
	for b := range kinds {
		switch {
		case rulepath.IsForbidden(byte(b)): // fewer than 256
			kinds[b] = forbidden
		case b >= utf8.RuneSelf:
			kinds[b] = nonASCII
		}
	}
	kinds['/'] = slash
	return kinds
}()

// split finds the segments of a path, and reports whether the path is unambiguous. No
// rule matches an ambiguous path. It agrees with rulepath.IsUnambiguous; both exist because one
// walk over the path does both here.
func (s *search) split(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	s.path = path
	kinds := uint8(plain)
	for i := 1; i <= len(path); i++ {
		start := i
		for ; i < len(path); i++ {
			kind := byteKinds[path[i]]
			if kind == forbidden {
				return false
			}
			if kind == slash {
				break
			}
			kinds |= kind
		}
		segment := path[start:i]
		switch segment {
		case "":
			if i < len(path) {
				return false
			}
			s.empty = true
		case ".", "..":
			return false
		case s.user:
			s.isOwn |= 1 << s.count // a shift beyond rulepath.MaxSegments is 0
		}
		if s.count < rulepath.MaxSegments {
			s.ends[s.count] = uint32(i) // net/http bounds a path
		}
		s.count++
	}
	return kinds&nonASCII == 0 || utf8.ValidString(path)
}

// walk visits the nodes below one, at a depth, that the path reaches. It forks where
// several of {name}, {user} and a literal match. Each node has one parent, so no node is visited
// twice: a walk costs at most the number of nodes, and goes at most rulepath.MaxSegments deep.
func (e *Engine) walk(s *search, at uint32, depth int) {
	for ; ; depth++ {
		n := &e.nodes[at]
		if depth == s.count {
			e.match(s, n.end)
			return
		}
		e.match(s, n.below) // at least one segment follows, even if it is empty
		if depth == rulepath.MaxSegments {
			return // no rule is deeper
		}
		literal := uint32(0)
		if n.literals != 0 {
			if id := s.id(e, depth); id != noID {
				literal = e.child(at, id)
			}
		}
		param := n.param
		if s.empty && depth == s.count-1 {
			param = 0 // {name} does not match an empty segment
		}
		if n.own != 0 && s.isOwn&(1<<depth) != 0 {
			if literal != 0 || param != 0 {
				e.walk(s, n.own, depth+1)
			} else {
				literal = n.own
			}
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

// linearMax is the length up to which a linear scan beats a binary search.
const linearMax = 8

// match finds the user's subjects among the entries of a node. It scans the shorter of
// the two lists and searches the longer, so that neither a node with a rule for each
// user nor a user with many groups is slow.
func (e *Engine) match(s *search, at span) {
	if at.from == at.to {
		return
	}
	entries := e.entries[at.from:at.to]
	if len(entries) <= linearMax || len(entries) <= len(s.groups) {
		for i := range entries {
			en := &entries[i]
			if en.methods&s.method != 0 && (en.subject == s.own || contains(s.groups, en.subject)) {
				s.record(en.rule)
			}
		}
		return
	}
	if s.own != noID {
		s.matchSubject(entries, s.own)
	}
	for _, id := range s.groups {
		s.matchSubject(entries, id)
	}
}

// matchSubject records the entries of one subject.
func (s *search) matchSubject(entries []entry, subject uint32) {
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
			s.record(entries[low].rule)
		}
	}
}

// record keeps the first rule of each effect.
func (s *search) record(rule uint32) {
	if rule&denyBit != 0 {
		s.deny = min(s.deny, rule&^denyBit)
	} else {
		s.allow = min(s.allow, rule)
	}
}

// contains reports whether an ascending list contains id.
func contains(list []uint32, id uint32) bool {
	if len(list) > linearMax {
		_, found := slices.BinarySearch(list, id)
		return found
	}
	return slices.Contains(list, id)
}
