package policy

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/rulepath"
	"github.com/mtlsguard/mtlsguard/internal/workers"
)

// compiler builds an Engine from lines that have no errors.
type compiler struct {
	*Engine
	check  *checker
	placed []placedEntry
}

// placedEntry is an entry that knows its node.
type placedEntry struct {
	node  uint32
	below bool
	entry
}

// compile builds an Engine from a graph and the lines that it was made of. The lines are
// stored, and the tree is built, at the same time as the sets of groups, if several goroutines may.
func compile(c *checker, g *groupGraph, subjects []uint32, rules []Rule, members []Member) *Engine {
	b := &compiler{
		Engine: &Engine{
			vocabulary: c.vocabulary, groups: g,
			ports: newNameTable(8), segments: newNameTable(64), edges: edgeTable{slots: make([]edge, 8)},
			nodes: make([]node, 2, 64), anyPort: 1, // node 0 belongs to no tree
		},
		check: c, placed: make([]placedEntry, len(rules)),
	}
	if n := c.unended; n > 0 {
		b.unended = Position{File: c.file, Line: n}
	}
	var parts sync.WaitGroup
	workers.Go(&parts, func() { b.keepLines(rules, members) })
	workers.Go(&parts, func() {
		for i := range rules {
			workers.YieldAt(i)
			b.placed[i] = b.placeRule(&rules[i], uint32(i)) // fewer than 2 G rules
			b.placed[i].subject = subjects[i]
		}
		b.layEntries()
	})
	b.addUsers(subjects)
	b.addSets(members)
	parts.Wait()
	return b.Engine
}

// placeRule finds or makes the node of a rule.
func (b *compiler) placeRule(r *Rule, i uint32) placedEntry {
	mask, _, _ := b.vocabulary.mask(r.Method)
	p := placedEntry{entry: entry{methods: mask, rule: i}}
	if r.Effect != Allow {
		p.rule |= denyBit // fail closed: any effect but allow denies
	}
	p.node = b.anyPort
	if r.Port != "*" {
		id := b.ports.add(r.Port)
		if int(id) == len(b.roots) {
			b.roots = append(b.roots, b.newNode())
		}
		p.node = b.roots[id]
	}
	if r.Path == rulepath.Star {
		p.node = b.addChild(p.node, starSegment)
		return p
	}
	for rest, more := r.Path[1:], true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "*" { // the last segment: rulepath.Check rejects any other
			p.below = true
			break
		}
		p.node = b.addSegment(p.node, segment)
	}
	return p
}

// addSegment returns the child of a node for a segment of a rule, and makes it if it is
// new.
func (b *compiler) addSegment(from uint32, segment string) uint32 {
	n := b.nodes[from]
	switch {
	case segment == rulepath.Own:
		if n.own == 0 {
			n.own = b.newNode()
			b.nodes[from].own = n.own
		}
		return n.own
	case rulepath.IsParam(segment):
		if n.param == 0 {
			n.param = b.newNode()
			b.nodes[from].param = n.param
		}
		return n.param
	}
	return b.addChild(from, b.segments.add(segment))
}

func (b *compiler) newNode() uint32 {
	b.nodes = append(b.nodes, node{})
	return uint32(len(b.nodes) - 1) // fewer than 4 G nodes
}

// addChild returns the child of a node for a segment, and makes it if it is new.
func (b *compiler) addChild(from, segment uint32) uint32 {
	if id := b.child(from, segment); id != 0 {
		return id
	}
	id := b.newNode()
	b.edges.add(edge{from, segment, id})
	b.nodes[from].literals++
	return id
}

// layEntries sorts the entries and gives each node its part of them.
func (b *compiler) layEntries() {
	b.sortPlaced()
	b.entries = make([]entry, 0, len(b.placed))
	// A rule that adds no method to earlier rules at the same place for the same
	// subject is never the first to decide. Without it, one subject has fewer entries
	// at one place than twice the number of methods.
	var covered [2]uint32 // methods that earlier rules allow, and deny
	for i, p := range b.placed {
		workers.YieldAt(i)
		if i > 0 {
			if before := b.placed[i-1]; before.node != p.node || before.below != p.below || before.subject != p.subject {
				covered = [2]uint32{}
			}
		}
		deny := p.rule >> 31
		if p.methods&^covered[deny] == 0 {
			continue
		}
		covered[deny] |= p.methods
		n := &b.nodes[p.node]
		s := &n.end
		if p.below {
			s = &n.below
		}
		at := uint32(len(b.entries)) // fewer than 2 G rules
		if s.to == 0 {
			s.from = at
		}
		s.to = at + 1
		b.entries = append(b.entries, p.entry)
	}
	b.entries = slices.Clip(b.entries)
	b.nodes = slices.Clip(b.nodes)
}

// sortPlaced sorts the entries by node, then by subject and rule. Most nodes have few.
func (b *compiler) sortPlaced() {
	next := make([]uint32, len(b.nodes)+1)
	for i := range b.placed {
		next[b.placed[i].node+1]++
	}
	for i := range b.nodes {
		next[i+1] += next[i]
	}
	sorted := make([]placedEntry, len(b.placed))
	for i := range b.placed {
		at := &next[b.placed[i].node] // the end of what the node has so far
		sorted[*at] = b.placed[i]
		*at++
	}
	b.placed = sorted
	from := uint32(0)
	for i, to := range next[:len(b.nodes)] { // the ends now
		workers.YieldAt(i)
		slices.SortFunc(sorted[from:to], func(x, y placedEntry) int {
			if x.below != y.below {
				if y.below {
					return -1
				}
				return 1
			}
			return cmp.Or(cmp.Compare(x.subject, y.subject), cmp.Compare(x.rule&^denyBit, y.rule&^denyBit))
		})
		from = to
	}
}

// addUsers lists the users, and marks those that rules name.
func (b *compiler) addUsers(subjects []uint32) {
	b.users = make([]userSubjects, b.groups.users.len())
	for id := range b.users {
		workers.YieldAt(id)
		b.users[id] = userSubjects{own: noID, set: setNamed}
	}
	for _, s := range subjects {
		if s&1 == 1 {
			b.users[s>>1].own = s
		}
	}
	if id := b.groups.users.find(identity.Default); id != noID {
		b.users[id].set = setAnonymous
	}
}

// keepLines stores the lines for Explain, Lint and Rules.
func (e *Engine) keepLines(rules []Rule, members []Member) {
	ofRules, ofMembers := sizeOf(rules, members)
	e.rules = newLineTable(len(rules), ofRules, func(i int, to *strings.Builder) (string, int) {
		workers.YieldAt(i)
		rules[i].writeTo(to, ",")
		return rules[i].File, rules[i].Line
	})
	e.members = newLineTable(len(members), ofMembers, func(i int, to *strings.Builder) (string, int) {
		workers.YieldAt(i)
		members[i].writeTo(to, ",")
		return members[i].File, members[i].Line
	})
}
