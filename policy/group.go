package policy

import (
	"slices"
	"strings"
)

// The reserved groups have the first ids.
const (
	idEverybody = iota
	idAuthenticated
	idAnonymous
)

// graph is who stands in which group: tables without pointers.
type graph struct {
	users  names // every user that a line names, without the prefix
	groups names
	of     []uint32 // links of a user: links[of[id]:of[id+1]]
	in     []uint32 // links of a group
	links  []uint32 // group ids, in the order of the lines
	empty  []bool   // groups in which no user stands
}

// direct returns the groups that a user was put into, by id.
func (g *graph) direct(user uint32) []uint32 { return g.links[g.of[user]:g.of[user+1]] }

// parents returns the groups that a group was put into, by id.
func (g *graph) parents(group uint32) []uint32 { return g.links[g.in[group]:g.in[group+1]] }

// base returns the groups of a user that no line puts there.
func base(user string) []uint32 {
	if user == Default {
		return []uint32{idEverybody, idAnonymous}
	}
	return []uint32{idEverybody, idAuthenticated}
}

// newGraph builds the graph and adds circles, too deep nesting and too many
// groups to c's mistakes. Rules and members that c found wrong do no harm here.
func newGraph(rules []Rule, members []Member, c *checker) *graph {
	users, groups := newNamer(len(members)), newNamer(16)
	for _, name := range []string{Everybody, Authenticated, Anonymous} {
		groups.id(name)
	}
	for i := range rules {
		if name, ok := strings.CutPrefix(rules[i].Subject, userPrefix); ok {
			users.id(name)
		} else if name, ok := strings.CutPrefix(rules[i].Subject, groupPrefix); ok {
			groups.id(name)
		}
	}
	type link struct{ from, to uint32 }
	ofUser, ofGroup := make([]link, 0, len(members)), make([]link, 0, 16)
	lines := make(map[link]int, 16) // the first line of a group in a group
	for i := range members {
		group, ok := strings.CutPrefix(members[i].Group, groupPrefix)
		if !ok {
			continue
		}
		if name, ok := strings.CutPrefix(members[i].Subject, userPrefix); ok {
			ofUser = append(ofUser, link{users.id(name), groups.id(group)})
		} else if name, ok := strings.CutPrefix(members[i].Subject, groupPrefix); ok {
			from := groups.id(name) // first, so that a circle is told from its first line on
			l := link{from, groups.id(group)}
			ofGroup = append(ofGroup, l)
			if _, ok := lines[l]; !ok {
				lines[l] = i
			}
		}
	}

	g := &graph{users: users.names(), groups: groups.names()}
	lay := func(n int, list []link) []uint32 {
		at := make([]uint32, n+1)
		for _, l := range list {
			at[l.from+1]++
		}
		start := uint32(len(g.links)) // fewer than 4 G lines
		at[0] = start
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
	g.of = lay(g.users.len(), ofUser)
	g.in = lay(g.groups.len(), ofGroup)

	order := g.order(c, members, func(from, to uint32) int { return lines[link{from, to}] })
	g.fill(order)
	return g
}

// fill finds the groups in which no user stands. The order has every group after
// the groups that it stands in, so the way back carries users upwards.
func (g *graph) fill(order []uint32) {
	g.empty = make([]bool, g.groups.len())
	for i := range g.empty {
		g.empty[i] = i > idAnonymous // the three are never empty
	}
	for user := range uint32(g.users.len()) { // an id
		for _, id := range g.direct(user) {
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

// closure returns the given groups and all that they stand in, each once. It
// stops above maxGroups.
func (g *graph) closure(marks *marks, from ...[]uint32) []uint32 {
	marks.next(g.groups.len())
	var all []uint32
	for _, ids := range from {
		for _, id := range ids {
			if marks.set(id) {
				all = append(all, id)
			}
		}
	}
	for i := 0; i < len(all) && len(all) <= maxGroups; i++ {
		for _, p := range g.parents(all[i]) {
			if marks.set(p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// marks is a set of ids that is emptied without being touched.
type marks struct {
	now uint32
	at  []uint32
}

func (m *marks) next(n int) {
	if len(m.at) < n {
		m.at = make([]uint32, n)
		m.now = 0
	}
	m.now++
}

// set reports whether id was not in the set, and puts it there.
func (m *marks) set(id uint32) bool {
	if m.at[id] == m.now {
		return false
	}
	m.at[id] = m.now
	return true
}

// chain returns how a user comes to stand in a group: the groups passed through,
// the group itself last; nil if they do not.
func (g *graph) chain(user string, group uint32) []string {
	from := base(user)
	if id := g.users.find(user); id != nowhere {
		from = append(slices.Clone(g.direct(id)), from...)
	}
	before := make(map[uint32]uint32)
	queue := make([]uint32, 0, len(from))
	for _, id := range from {
		if _, ok := before[id]; !ok {
			before[id] = nowhere
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
		for id := group; id != nowhere; id = before[id] {
			out = append(out, g.groups.at(id))
		}
		slices.Reverse(out)
		return out
	}
	return nil
}

// Groups returns the groups of a user, sorted, nested ones included, without the
// prefix "group:". A user whom no line names is in Everybody and Authenticated,
// and in what these stand in; Default is in Everybody and Anonymous. The result is
// the caller's own; it is nil for what cannot be a user's name.
func (e *Engine) Groups(user string) []string {
	if !e.loaded() || !isUser(user) {
		return nil
	}
	g := e.graph
	var direct []uint32
	if id := g.users.find(user); id != nowhere {
		direct = g.direct(id)
	}
	var m marks
	ids := g.closure(&m, base(user), direct)
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = g.groups.at(id)
	}
	slices.Sort(out)
	return out
}
