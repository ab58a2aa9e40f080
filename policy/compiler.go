package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
)

// compiler builds an Engine from lines that have no errors.
type compiler struct {
	*Engine
	check        *checker
	subjects     map[string]uint32 // "group:staff" → id, from 1
	groupSubject []uint32          // subject id by group id, or 0
	placed       []placedEntry
}

// placedEntry is an entry that knows its node.
type placedEntry struct {
	node  uint32
	below bool
	entry
}

func compile(c *checker, g *groupGraph, rules []Rule, members []Member) *Engine {
	b := &compiler{
		Engine: &Engine{
			vocabulary: c.vocabulary, groups: g,
			ports: newNameTable(8), segments: newNameTable(64), edges: map[edge]uint32{},
			nodes: make([]node, 2, 64), anyPort: 1, // node 0 belongs to no tree
		},
		check: c, subjects: map[string]uint32{}, groupSubject: make([]uint32, g.groups.len()),
		placed: make([]placedEntry, 0, len(rules)),
	}
	for i := range rules {
		b.placeRule(&rules[i], uint32(i)) // fewer than 2 G rules
	}
	b.layEntries()
	b.listUsers(members)
	b.keepLines(rules, members)
	return b.Engine
}

// subject returns the id of a subject that a rule names.
func (b *compiler) subject(s string) uint32 {
	if id, ok := b.subjects[s]; ok {
		return id
	}
	id := uint32(len(b.subjects) + 1) // fewer than 4 G subjects
	b.subjects[s] = id
	if group, ok := strings.CutPrefix(s, groupPrefix); ok {
		b.groupSubject[b.groups.groups.find(group)] = id
	}
	return id
}

// placeRule finds or makes the node of a rule.
func (b *compiler) placeRule(r *Rule, i uint32) {
	mask, _, _ := b.vocabulary.mask(r.Method)
	p := placedEntry{entry: entry{subject: b.subject(r.Subject), methods: mask, rule: i}}
	if r.Effect != Allow {
		p.rule |= denyBit // fail closed: any effect but allow denies
	}
	at := b.anyPort
	if r.Port != "*" {
		id := b.ports.add(r.Port)
		if int(id) == len(b.roots) {
			b.roots = append(b.roots, b.newNode())
		}
		at = b.roots[id]
	}
	if r.Path == starPath {
		p.node = b.addChild(at, starSegment)
		b.placed = append(b.placed, p)
		return
	}
	for rest := r.Path[1:]; ; {
		segment, after, more := strings.Cut(rest, "/")
		if segment == "*" { // the last segment: checkPath rejects any other
			p.below = true
			break
		}
		at = b.addSegment(at, segment)
		if !more {
			break
		}
		rest = after
	}
	p.node = at
	b.placed = append(b.placed, p)
}

// addSegment returns the child of a node for a segment of a rule, and makes it if it is
// new.
func (b *compiler) addSegment(from uint32, segment string) uint32 {
	n := b.nodes[from]
	switch {
	case segment == ownSegment:
		if n.own == 0 {
			n.own = b.newNode()
			b.nodes[from].own = n.own
		}
		return n.own
	case isParam(segment):
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
	b.edges[edge{from, segment}] = id
	b.nodes[from].literals++
	return id
}

// layEntries sorts the entries and gives each node its part of them.
func (b *compiler) layEntries() {
	slices.SortFunc(b.placed, func(x, y placedEntry) int {
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
	b.entries = make([]entry, 0, len(b.placed))
	// A rule that adds no method to earlier rules at the same place for the same
	// subject is never the first to decide. Without it, one subject has fewer entries
	// at one place than twice the number of methods.
	var covered [2]uint32 // methods that earlier rules allow, and deny
	for i, p := range b.placed {
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

// listUsers gives each user that a line names their subjects. Users with the same
// groups share one list.
func (b *compiler) listUsers(members []Member) {
	g := b.groups
	var m marks
	b.named = b.listSubjects(g.closure(&m, builtInGroups("")))
	b.anonymous = b.listSubjects(g.closure(&m, builtInGroups(identity.Default)))
	b.users = make([]userSubjects, g.users.len())
	shared := map[string]span{}
	var key []byte
	for id := range uint32(len(b.users)) { // an id
		name, direct := g.users.at(id), g.groupsOfUser(id)
		u := userSubjects{own: b.subjects[userPrefix+name], groups: b.named}
		if name == identity.Default {
			u.groups = b.anonymous // no line puts Default into a group
		} else if len(direct) > 0 {
			key = key[:0]
			for _, id := range direct {
				key = append(key, byte(id), byte(id>>8), byte(id>>16), byte(id>>24))
			}
			list, ok := shared[string(key)]
			if !ok {
				all := g.closure(&m, builtInGroups(name), direct)
				if len(all) > maxGroups {
					b.check.rejectMember(members, userPrefix+name, "user:"+name+" is in more than 1,024 groups", "put the user into fewer groups, or name the user in rules")
					all = nil
				}
				list = b.listSubjects(all)
				shared[string(key)] = list
			}
			u.groups = list
		}
		b.users[id] = u
	}
}

// listSubjects stores the subjects of groups. Groups that no rule names have none.
func (b *compiler) listSubjects(groups []uint32) span {
	from := uint32(len(b.groupLists)) // bounded by users times groups
	for _, id := range groups {
		if subject := b.groupSubject[id]; subject != 0 {
			b.groupLists = append(b.groupLists, subject)
		}
	}
	slices.Sort(b.groupLists[from:])
	return span{from, uint32(len(b.groupLists))} // as above
}

// keepLines stores the lines for Explain, Lint and Rules.
func (b *compiler) keepLines(rules []Rule, members []Member) {
	var rulesFit, membersFit bool
	b.rules, rulesFit = newLineTable(len(rules), func(i int) ([]string, string, int) {
		return rules[i].fields(), rules[i].File, rules[i].Line
	})
	b.members, membersFit = newLineTable(len(members), func(i int) ([]string, string, int) {
		return members[i].fields(), members[i].File, members[i].Line
	})
	if !rulesFit || !membersFit {
		b.check.add(Position{}, "the policy is larger than 4 GiB", "")
	}
	if n := b.check.unended; n > 0 {
		b.unended = Position{File: b.check.file, Line: n}
	}
}
