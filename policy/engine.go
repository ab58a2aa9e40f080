package policy

import "slices"

// Engine is a policy, compiled. It never changes, and it is safe for concurrent
// use. A nil Engine and the zero value refuse everything, with an error.
type Engine struct {
	words *vocabulary
	graph *graph

	// Who: subjects are those that rules name, numbered from 1.
	people   []person // by user id
	lists    []uint32 // subject ids, ascending within a list
	named    span     // the list of a user whom no line names
	nameless span     // the list of Default, if no line names it
	allowed  []bool   // by subject id: some rule allows it something

	// Where and what: one tree of segments for each port.
	ports    names
	roots    []uint32 // node by port id
	anyPort  uint32   // node of the rules for every port
	segments names
	edges    []edge // open addressing
	shift    uint8
	nodes    []node
	entries  []entry // by node, then subject, then rule

	// The lines, for what is not in a hurry.
	lines     texts // subject,port,method,path,effect
	members   texts // member,group
	rulePos   texts // as Decision names them
	memberPos texts
	unended   string // position of a last line without a line end
}

// person is what Decide knows of a user: their own subject, or 0, and the list of
// their groups' subjects.
type person struct {
	own  uint32
	list span
}

type span struct{ from, to uint32 }

// node is a place in a tree. Its literal children are edges.
type node struct {
	param    uint32 // the child for {name}; 0 is none, because node 0 is nobody's child
	literals uint32 // how many edges begin here
	end      span   // entries of rules that end here
	below    span   // entries of rules that end here with /*
}

type edge struct{ from, segment, to uint32 } // to == 0 is free

// entry is one rule at its node.
type entry struct {
	subject uint32
	methods uint32
	rule    uint32 // with denyBit
}

const denyBit = 1 << 31

// starSegment stands for the path "*", which is no segment.
const starSegment = nowhere - 1

func (e *Engine) loaded() bool { return e != nil && e.graph != nil }

// child returns the node behind a literal segment, or 0.
func (e *Engine) child(from, segment uint32) uint32 {
	last := uint32(len(e.edges) - 1) // the number of edges fits
	for i := e.home(from, segment); ; i = (i + 1) & last {
		switch ed := &e.edges[i]; {
		case ed.to == 0:
			return 0
		case ed.from == from && ed.segment == segment:
			return ed.to
		}
	}
}

func (e *Engine) home(from, segment uint32) uint32 {
	key := uint64(from)<<32 | uint64(segment)
	key ^= key >> 29
	return uint32(key * 0x9e3779b97f4a7c15 >> e.shift) // shift leaves no more bits than there are edges
}

// Len returns how many rules and memberships the policy has.
func (e *Engine) Len() (rules, members int) {
	if !e.loaded() {
		return 0, 0
	}
	return e.lines.len(), e.members.len()
}

// HasRuleFor reports whether some rule allows the user anything at all, by the
// user's own name or by a group. Deny rules are not weighed against it.
func (e *Engine) HasRuleFor(user string) bool {
	if !e.loaded() || !isUser(user) {
		return false
	}
	p := e.person(user)
	return p.own != 0 && e.allowed[p.own] ||
		slices.ContainsFunc(e.lists[p.list.from:p.list.to], func(id uint32) bool { return e.allowed[id] })
}

// person returns the subjects of a user.
func (e *Engine) person(user string) person {
	if id := e.graph.users.find(user); id != nowhere {
		return e.people[id]
	}
	if user == Default {
		return person{list: e.nameless}
	}
	return person{list: e.named}
}
