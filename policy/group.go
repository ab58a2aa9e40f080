package policy

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/workers"
)

// The built-in groups have the first ids.
const (
	idEverybody = iota
	idAuthenticated
	idAnonymous
)

var builtInNames = [...]string{idEverybody: identity.Everybody, idAuthenticated: identity.Authenticated, idAnonymous: identity.Anonymous}

// groupGraph is the memberships of users and groups.
type groupGraph struct {
	users   nameTable // every user that a line names, without the prefix
	groups  nameTable
	ofUser  []uint32 // the groups of a user are links[ofUser[id]:ofUser[id+1]]
	ofGroup []uint32 // the same for a group
	links   []uint32 // group ids, in the order of the lines
	empty   []bool   // by group id: no user is in it
	inRules []bool   // by group id: a rule names it
}

// A subject of rules is a number: that of a user is odd.
func userSubject(id uint32) uint32  { return id<<1 | 1 } // fewer than 2 G users: each has a line
func groupSubject(id uint32) uint32 { return id << 1 }

// groupsOfUser returns the groups that the lines of a user name.
func (g *groupGraph) groupsOfUser(user uint32) []uint32 {
	return g.links[g.ofUser[user]:g.ofUser[user+1]]
}

// parents returns the groups that the lines of a group name.
func (g *groupGraph) parents(group uint32) []uint32 {
	return g.links[g.ofGroup[group]:g.ofGroup[group+1]]
}

// builtInGroups returns the groups of a user that need no line.
func builtInGroups(user string) []uint32 {
	if user == identity.Default {
		return []uint32{idEverybody, idAnonymous}
	}
	return []uint32{idEverybody, idAuthenticated}
}

// link is one membership.
type link struct{ from, to uint32 }

// newGroupGraph builds the graph and adds cycles and too deep nesting to c's errors. It also
// returns the subject of each rule, and which users rules name. It accepts the rules and
// members that c has rejected.
func newGroupGraph(rules []Rule, members []Member, c *checker) (g *groupGraph, subjects []uint32) {
	g = &groupGraph{users: newNameTable(len(members)), groups: newNameTable(16)}
	for _, name := range builtInNames {
		g.groups.add(name)
	}
	subjects = make([]uint32, len(rules))
	for i := range rules {
		workers.YieldAt(i)
		if name, ok := strings.CutPrefix(rules[i].Subject, userPrefix); ok {
			subjects[i] = userSubject(g.users.add(name))
		} else if name, ok := strings.CutPrefix(rules[i].Subject, groupPrefix); ok {
			subjects[i] = groupSubject(g.groups.add(name))
		}
	}
	ofUser, ofGroup := make([]link, 0, len(members)), make([]link, 0, 16)
	for i := range members {
		workers.YieldAt(i)
		group, ok := strings.CutPrefix(members[i].Group, groupPrefix)
		if !ok {
			continue
		}
		if name, ok := strings.CutPrefix(members[i].Subject, userPrefix); ok {
			ofUser = append(ofUser, link{g.users.add(name), g.groups.add(group)})
		} else if name, ok := strings.CutPrefix(members[i].Subject, groupPrefix); ok {
			from := g.groups.add(name) // before the group, so that a cycle begins at its first line
			ofGroup = append(ofGroup, link{from, g.groups.add(group)})
		}
	}
	g.links = make([]uint32, 0, len(ofUser)+len(ofGroup))
	g.ofUser = g.addLinks(g.users.len(), ofUser)
	g.ofGroup = g.addLinks(g.groups.len(), ofGroup)
	g.inRules = make([]bool, g.groups.len())
	for _, s := range subjects {
		if s&1 == 0 {
			g.inRules[s>>1] = true
		}
	}
	g.markEmpty(g.sortGroups(c, members))
	return g, subjects
}

// addLinks appends links, those of one source together, and returns where the links of
// each of n sources begin.
func (g *groupGraph) addLinks(n int, list []link) []uint32 {
	at := make([]uint32, n+1)
	for _, l := range list {
		at[l.from+1]++
	}
	at[0] = uint32(len(g.links)) // fewer than 4 G lines
	for i := 1; i <= n; i++ {
		at[i] += at[i-1]
	}
	g.links = append(g.links, make([]uint32, len(list))...)
	next := slices.Clone(at)
	for _, l := range list {
		g.links[next[l.from]] = l.to
		next[l.from]++
	}
	return at
}

// markEmpty finds the groups without users. In the order each group comes after the
// groups that it is in, so the reverse order carries users upwards.
func (g *groupGraph) markEmpty(order []uint32) {
	g.empty = make([]bool, g.groups.len())
	for i := range g.empty {
		g.empty[i] = i >= len(builtInNames) // the built-in groups are never empty
	}
	for user := range uint32(g.users.len()) { // an id
		for _, id := range g.groupsOfUser(user) {
			g.empty[id] = false
		}
	}
	for _, id := range slices.Backward(order) {
		if !g.empty[id] {
			for _, p := range g.parents(id) {
				g.empty[p] = false
			}
		}
	}
}

// closure returns the given groups and all groups that they are in, each once. It
// stops above maxGroups. The set is empty before.
func (g *groupGraph) closure(seen groupIDs, from ...[]uint32) []uint32 {
	var all []uint32
	for _, ids := range from {
		for _, id := range ids {
			if seen.add(id) {
				all = append(all, id)
			}
		}
	}
	for i := 0; i < len(all) && len(all) <= maxGroups; i++ {
		for _, p := range g.parents(all[i]) {
			if seen.add(p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// groupIDs is a set of group ids. add reports whether an id is new.
type groupIDs interface{ add(id uint32) bool }

// idSet is for one closure: it has the size of the closure.
type idSet map[uint32]struct{}

func (s idSet) add(id uint32) bool {
	before := len(s)
	s[id] = struct{}{}
	return len(s) > before
}

// marks is for many closures: it has room for every id, and clearing it costs nothing.
type marks struct {
	round uint32
	seen  []uint32 // by id: the round in which it was added
}

// cleared empties the set and makes room for n ids.
func (m *marks) cleared(n int) *marks {
	if len(m.seen) < n {
		m.seen = make([]uint32, n)
		m.round = 0
	}
	m.round++
	return m
}

func (m *marks) add(id uint32) bool {
	if m.seen[id] == m.round {
		return false
	}
	m.seen[id] = m.round
	return true
}

// chain returns the groups through which a user is in a group, the group itself last.
// It is nil if the user is not in the group.
func (g *groupGraph) chain(user string, group uint32) []string {
	from := builtInGroups(user)
	if id := g.users.find(user); id != noID {
		from = append(slices.Clone(g.groupsOfUser(id)), from...)
	}
	before := make(map[uint32]uint32)
	queue := make([]uint32, 0, len(from))
	for _, id := range from {
		if _, ok := before[id]; !ok {
			before[id] = noID
			queue = append(queue, id)
		}
	}
	for i := 0; i < len(queue); i++ {
		if queue[i] != group {
			for _, p := range g.parents(queue[i]) {
				if _, ok := before[p]; !ok {
					before[p] = queue[i]
					queue = append(queue, p)
				}
			}
			continue
		}
		var out []string
		for id := group; id != noID; id = before[id] {
			out = append(out, g.groups.at(id))
		}
		slices.Reverse(out)
		return out
	}
	return nil
}
