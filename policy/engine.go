package policy

// Engine is a compiled policy. It never changes, and it is safe for concurrent use. A
// nil Engine and the zero value refuse every request with an error.
type Engine struct {
	vocabulary *vocabulary
	groups     *groupGraph

	users       []userSubjects // by user id
	sets        []groupSet
	setGroups   []uint32
	setSubjects []uint32

	// One tree of path segments for each port.
	ports    nameTable
	roots    []uint32 // node by port id
	anyPort  uint32   // node of the rules for every port
	segments nameTable
	edges    edgeTable
	nodes    []node
	entries  []entry // by node, then subject, then rule

	rules   lineTable
	members lineTable
	unended Position // of a last line without a line end
}

// userSubjects is the subjects that a user has: their own, or noID if no rule names it, and
// those of their groups.
type userSubjects struct{ own, set uint32 }

// span is a part of a slice.
type span struct{ from, to uint32 }

// node is one place in a tree.
type node struct {
	param    uint32 // the child for {name}, or 0: no tree has node 0
	own      uint32 // the child for {user}, or 0
	literals uint32 // the number of edges from here
	end      span   // entries of the rules that end here
	below    span   // entries of the rules that end here with /*
}

// entry is one rule at its node.
type entry struct {
	subject uint32
	methods uint32
	rule    uint32 // the index of the rule, with denyBit
}

const denyBit = 1 << 31

// starSegment stands for the path "*", which is not a segment.
const starSegment = noID - 1

func (e *Engine) isBuilt() bool { return e != nil && e.groups != nil }

// child returns the node behind a literal segment, or 0.
func (e *Engine) child(from, segment uint32) uint32 { return e.edges.find(from, segment) }

// New builds an engine from rules and memberships. The error joins every error in
// them, as *configerror.Error values. New(nil, nil) denies everything.
func New(rules []Rule, members []Member, options ...Option) (*Engine, error) {
	c := newChecker(options)
	for i := range rules {
		c.checkRule(&rules[i], i)
	}
	for i := range members {
		c.checkMember(&members[i], i)
	}
	return build(c, rules, members)
}

// build compiles the lines that c has checked, or returns c's errors.
func build(c *checker, rules []Rule, members []Member) (*Engine, error) {
	if ofRules, ofMembers := sizeOf(rules, members); ofRules+ofMembers > maxText {
		c.add(Position{}, "the policy is larger than 4 GiB", "")
		return nil, c.err() // fail closed: what follows counts bytes and lines in 32 bits
	}
	g, subjects := newGroupGraph(rules, members, c)
	if err := c.err(); err != nil {
		return nil, err
	}
	e := compile(c, g, subjects, rules, members)
	if err := c.err(); err != nil {
		return nil, err
	}
	return e, nil
}
