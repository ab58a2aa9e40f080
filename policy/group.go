package policy

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
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
}

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

// newGroupGraph builds the graph and adds cycles and too deep nesting to c's errors.
// It accepts the rules and members that c has rejected.
func newGroupGraph(rules []Rule, members []Member, c *checker) *groupGraph {
	g := &groupGraph{users: newNameTable(len(members)), groups: newNameTable(16)}
	for _, name := range builtInNames {
		g.groups.add(name)
	}
	for i := range rules {
		if name, ok := strings.CutPrefix(rules[i].Subject, userPrefix); ok {
			g.users.add(name)
		} else if name, ok := strings.CutPrefix(rules[i].Subject, groupPrefix); ok {
			g.groups.add(name)
		}
	}
	ofUser, ofGroup := make([]link, 0, len(members)), make([]link, 0, 16)
	lines := make(map[link]int, 16) // the first line of a group in a group
	for i := range members {
		group, ok := strings.CutPrefix(members[i].Group, groupPrefix)
		if !ok {
			continue
		}
		if name, ok := strings.CutPrefix(members[i].Subject, userPrefix); ok {
			ofUser = append(ofUser, link{g.users.add(name), g.groups.add(group)})
		} else if name, ok := strings.CutPrefix(members[i].Subject, groupPrefix); ok {
			from := g.groups.add(name) // before the group, so that a cycle begins at its first line
			l := link{from, g.groups.add(group)}
			ofGroup = append(ofGroup, l)
			if _, ok := lines[l]; !ok {
				lines[l] = i
			}
		}
	}
	g.ofUser = g.addLinks(g.users.len(), ofUser)
	g.ofGroup = g.addLinks(g.groups.len(), ofGroup)

	order := g.sortGroups(c, members, lines)
	g.markEmpty(order)
	return g
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
// stops above maxGroups.
func (g *groupGraph) closure(m *marks, from ...[]uint32) []uint32 {
	m.clear(g.groups.len())
	var all []uint32
	for _, ids := range from {
		for _, id := range ids {
			if m.add(id) {
				all = append(all, id)
			}
		}
	}
	for i := 0; i < len(all) && len(all) <= maxGroups; i++ {
		for _, p := range g.parents(all[i]) {
			if m.add(p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// marks is a set of ids. clear costs nothing, whatever the size.
type marks struct {
	round uint32
	seen  []uint32 // by id: the round in which it was added
}

// clear empties the set and makes room for n ids.
func (m *marks) clear(n int) {
	if len(m.seen) < n {
		m.seen = make([]uint32, n)
		m.round = 0
	}
	m.round++
}

// add adds an id and reports whether it is new.
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

// Groups returns the groups of a user, sorted, nested ones included, without the
// prefix "group:". A named user whom no line names is in Everybody and Authenticated,
// and in the groups that these are in; Default is in Everybody and Anonymous. The
// slice belongs to the caller. It is nil for a text that cannot be a user's name.
func (e *Engine) Groups(user string) []string {
	if !e.isBuilt() || !isUser(user) {
		return nil
	}
	g := e.groups
	var direct []uint32
	if id := g.users.find(user); id != noID {
		direct = g.groupsOfUser(id)
	}
	var m marks
	ids := g.closure(&m, builtInGroups(user), direct)
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = g.groups.at(id)
	}
	slices.Sort(out)
	return out
}
