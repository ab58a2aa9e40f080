package policy

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
)

// compiler builds an Engine from lines that have been checked.
type compiler struct {
	*Engine
	check    *checker
	subjects map[string]uint32 // "group:staff" → id, from 1
	groupSub []uint32          // subject id by group id, or 0
	ports    *namer
	segments *namer
	children map[uint64]uint32 // node and segment → node
	placed   []placed
}

// placed is a rule at its node.
type placed struct {
	node  uint32
	below bool
	entry
}

func compile(c *checker, g *graph, rules []Rule, members []Member) *Engine {
	b := &compiler{
		Engine: &Engine{words: c.words, graph: g}, check: c,
		subjects: map[string]uint32{}, groupSub: make([]uint32, g.groups.len()),
		ports: newNamer(8), segments: newNamer(64), children: map[uint64]uint32{},
		placed: make([]placed, 0, len(rules)),
	}
	b.Engine.nodes = make([]node, 2, 64) // 0 is none, 1 is every port
	b.Engine.anyPort = 1
	b.allowed = []bool{false}
	for i := range rules {
		b.place(&rules[i], uint32(i)) // fewer than 2 G rules
	}
	b.freezeTree()
	b.listPeople(members)
	b.keepLines(rules, members)
	return b.Engine
}

// subject numbers a subject that rules name.
func (b *compiler) subject(s string) uint32 {
	if id, ok := b.subjects[s]; ok {
		return id
	}
	id := uint32(len(b.allowed)) // fewer than 4 G subjects
	b.subjects[s] = id
	b.allowed = append(b.allowed, false)
	if group, ok := strings.CutPrefix(s, groupPrefix); ok {
		b.groupSub[b.graph.groups.find(group)] = id
	}
	return id
}

func (b *compiler) place(r *Rule, i uint32) {
	id := b.subject(r.Subject)
	mask, _, _ := b.words.mask(r.Method)
	p := placed{entry: entry{subject: id, methods: mask, rule: i}}
	if r.Effect == Allow {
		b.allowed[id] = true
	} else {
		p.rule |= denyBit // fail closed: what is not allow is deny
	}
	at := b.anyPort
	if r.Port != "*" {
		id := b.ports.id(r.Port)
		if int(id) == len(b.roots) {
			b.roots = append(b.roots, b.newNode())
		}
		at = b.roots[id]
	}
	if r.Path == starPath {
		p.node = b.literal(at, starSegment)
		b.placed = append(b.placed, p)
		return
	}
	for rest := r.Path[1:]; ; {
		segment, after, more := strings.Cut(rest, "/")
		if segment == "*" { // the last, or it would have been a mistake
			p.below = true
			break
		}
		if isParam(segment) {
			if b.Engine.nodes[at].param == 0 {
				id := b.newNode()
				b.Engine.nodes[at].param = id
			}
			at = b.Engine.nodes[at].param
		} else {
			at = b.literal(at, b.segments.id(segment))
		}
		if !more {
			break
		}
		rest = after
	}
	p.node = at
	b.placed = append(b.placed, p)
}

func (b *compiler) newNode() uint32 {
	b.Engine.nodes = append(b.Engine.nodes, node{})
	return uint32(len(b.Engine.nodes) - 1) // fewer than 4 G nodes
}

// literal returns the child of a node for a segment, and makes it if need be.
func (b *compiler) literal(from, segment uint32) uint32 {
	key := uint64(from)<<32 | uint64(segment)
	if id, ok := b.children[key]; ok {
		return id
	}
	id := b.newNode()
	b.children[key] = id
	b.Engine.nodes[from].literals++
	return id
}

// freezeTree lays out edges and entries.
func (b *compiler) freezeTree() {
	e := b.Engine
	e.ports, e.segments = b.ports.names(), b.segments.names()
	width := bits.Len(uint(2*len(b.children) + 1))
	e.shift = uint8(64 - width) // width is at most 34
	e.edges = make([]edge, 1<<width)
	last := uint32(len(e.edges) - 1) // the number of edges fits
	for key, to := range b.children {
		from, segment := uint32(key>>32), uint32(key) // the two halves
		i := e.home(from, segment)
		for e.edges[i].to != 0 {
			i = (i + 1) & last
		}
		e.edges[i] = edge{from, segment, to}
	}

	slices.SortFunc(b.placed, func(x, y placed) int {
		if x.node != y.node {
			return cmp.Compare(x.node, y.node)
		}
		if x.below != y.below {
			if y.below {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(x.subject, y.subject), cmp.Compare(x.rule&^denyBit, y.rule&^denyBit))
	})
	e.entries = make([]entry, 0, len(b.placed))
	// A rule that says nothing beyond earlier ones at the same place for the same
	// subject can never be the first to decide. Leaving it out keeps the entries of
	// one subject at one place below twice the number of methods.
	var said [2]uint32
	for i, p := range b.placed {
		var before placed
		if i > 0 {
			before = b.placed[i-1]
		}
		if before.node != p.node || before.below != p.below || before.subject != p.subject {
			said = [2]uint32{}
		}
		deny := p.rule >> 31
		if p.methods&^said[deny] == 0 {
			continue
		}
		said[deny] |= p.methods
		n := &e.nodes[p.node]
		s := &n.end
		if p.below {
			s = &n.below
		}
		at := uint32(len(e.entries)) // fewer than 2 G rules
		if s.to == 0 {
			s.from = at
		}
		s.to = at + 1
		e.entries = append(e.entries, p.entry)
	}
	e.entries = slices.Clip(e.entries)
	e.nodes = slices.Clip(e.nodes)
}

// listPeople gives every user their list of subjects. Users in the same groups
// share one list.
func (b *compiler) listPeople(members []Member) {
	e, g := b.Engine, b.graph
	var m marks
	e.named = b.list(g.closure(&m, base("")))
	e.nameless = b.list(g.closure(&m, base(Default)))
	e.people = make([]person, g.users.len())
	shared := map[string]span{}
	var key []byte
	for id := range uint32(len(e.people)) { // an id
		name, direct := g.users.at(id), g.direct(id)
		p := person{own: b.subjects[userPrefix+name], list: e.named}
		if name == Default {
			p.list = e.nameless // no line puts Default into a group
		} else if len(direct) > 0 {
			key = key[:0]
			for _, id := range direct {
				key = append(key, byte(id), byte(id>>8), byte(id>>16), byte(id>>24))
			}
			list, ok := shared[string(key)]
			if !ok {
				all := g.closure(&m, base(name), direct)
				if len(all) > maxGroups {
					b.check.about(members, userPrefix+name, "user:"+name+" stands in more than 1,024 groups", "give fewer groups, or name the user in rules")
					all = nil
				}
				list = b.list(all)
				shared[string(key)] = list
			}
			p.list = list
		}
		e.people[id] = p
	}
}

// list stores the subjects of groups, those alone that rules name.
func (b *compiler) list(groups []uint32) span {
	from := uint32(len(b.lists)) // bounded by users times groups
	for _, id := range groups {
		if subject := b.groupSub[id]; subject != 0 {
			b.lists = append(b.lists, subject)
		}
	}
	slices.Sort(b.lists[from:])
	return span{from, uint32(len(b.lists))} // as above
}

// keepLines stores the lines as text.
func (b *compiler) keepLines(rules []Rule, members []Member) {
	e := b.Engine
	keep := func(n int, of func(i int) string) texts {
		t := texts{ends: make([]uint32, n)}
		var all strings.Builder
		for i := range n {
			all.WriteString(of(i))
			t.ends[i] = uint32(all.Len()) // checked below
		}
		if uint64(all.Len()) > uint64(nowhere) {
			b.check.add("", 0, "the policy is larger than 4 GiB", "")
		}
		t.text = all.String()
		return t
	}
	// No field holds a comma, so the fields come apart again.
	e.lines = keep(len(rules), func(i int) string { return strings.Join(ruleFields(&rules[i]), ",") })
	e.members = keep(len(members), func(i int) string { return members[i].Subject + "," + members[i].Group })
	e.rulePos = keep(len(rules), func(i int) string { return position(rules[i].File, rules[i].Line, "rule", i) })
	e.memberPos = keep(len(members), func(i int) string { return position(members[i].File, members[i].Line, "membership", i) })
	if n := b.check.unended; n > 0 {
		e.unended = position(b.check.file, n, "", 0)
	}
}
