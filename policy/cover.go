package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/rulepath"
)

// cover is the part of one rule's methods that other rules leave uncovered.
type cover struct {
	left  uint32
	rules []int // those that cover the rest
}

// take covers methods by a rule.
func (c *cover) take(methods uint32, rule int) {
	if c.left&methods != 0 {
		c.left &^= methods
		c.rules = append(c.rules, rule)
	}
}

// coveringEntries calls f for every entry whose port and path cover a rule's.
func (l *linter) coveringEntries(r Rule, f func(entry)) {
	roots := []uint32{l.anyPort}
	if r.Port != "*" {
		roots = append(roots, l.roots[l.ports.find(r.Port)])
	}
	callAll := func(s span) {
		for _, en := range l.candidates(s, r.Subject) {
			f(en)
		}
	}
	if r.Path == rulepath.Star {
		for _, root := range roots {
			if n := l.child(root, starSegment); n != 0 {
				callAll(l.nodes[n].end)
			}
		}
		return
	}
	segments := strings.Split(r.Path[1:], "/")
	// In a rule for one user, {user} is that name, and the name is {user}.
	name, isForUser := strings.CutPrefix(r.Subject, userPrefix)
	if isForUser && rulepath.OwnName(name) != "" {
		for i, s := range segments {
			if s == rulepath.Own {
				segments[i] = name
			}
		}
	}
	below := segments[len(segments)-1] == "*"
	if below {
		segments = segments[:len(segments)-1]
	}
	var visit func(at uint32, depth int)
	visit = func(at uint32, depth int) {
		n := l.nodes[at]
		if depth < len(segments) || below {
			callAll(n.below)
		}
		if depth == len(segments) {
			if !below {
				callAll(n.end)
			}
			return
		}
		s := segments[depth]
		if n.param != 0 && s != "" {
			visit(n.param, depth+1)
		}
		if n.own != 0 && (s == rulepath.Own || isForUser && s != "" && s == rulepath.OwnName(name)) {
			visit(n.own, depth+1)
		}
		if rulepath.IsParam(s) {
			return
		}
		if id := l.segments.find(s); id != noID {
			if c := l.child(at, id); c != 0 {
				visit(c, depth+1)
			}
		}
	}
	for _, root := range roots {
		visit(root, 0)
	}
}

// candidates returns the entries of a node that may belong to a subject or to a
// subject that it implies. A short list is returned whole.
func (l *linter) candidates(s span, subject string) []entry {
	all := l.entries[s.from:s.to]
	if len(all) <= linearMax {
		return all
	}
	var out []entry
	for _, id := range slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(l.implied(subject)), l.subject(subject))))) {
		at, _ := slices.BinarySearchFunc(all, id, func(en entry, id uint32) int { return cmp.Compare(en.subject, id) })
		for ; at < len(all) && all[at].subject == id; at++ {
			out = append(out, all[at])
		}
	}
	return out
}
