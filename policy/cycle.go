package policy

import (
	"slices"
	"strings"
)

// sortGroups returns the groups in an order in which each group comes after the groups
// that it is in. Groups on cycles are left out. Cycles and too deep nesting are errors.
func (g *groupGraph) sortGroups(c *checker, members []Member) []uint32 {
	n := g.groups.len()
	left := make([]int, n)       // parents that are not in the order yet
	first := make([]uint32, n+1) // the children of a group are children[first[id]:first[id+1]]
	for id := range uint32(n) {  // an id
		left[id] = len(g.parents(id))
		for _, p := range g.parents(id) {
			first[p]++
		}
	}
	for i := range n {
		first[i+1] += first[i]
	}
	children := make([]uint32, first[n])
	for id := uint32(n); id > 0; id-- { // backwards: first moves from the end of a group's children to their beginning
		for _, p := range g.parents(id - 1) {
			first[p]--
			children[first[p]] = id - 1
		}
	}
	order := make([]uint32, 0, n)
	for id := range uint32(n) { // an id
		if left[id] == 0 {
			order = append(order, id)
		}
	}
	depth := make([]int, n)
	for i := 0; i < len(order); i++ {
		for _, child := range children[first[order[i]]:first[order[i]+1]] {
			depth[child] = max(depth[child], depth[order[i]]+1)
			if left[child]--; left[child] == 0 {
				order = append(order, child)
			}
		}
	}
	for _, id := range order {
		if depth[id] == maxNesting { // the groups below it would only repeat the error
			c.rejectMember(members, groupPrefix+g.groups.at(id), "group:"+g.groups.at(id)+" is nested more than 32 groups deep", "put it directly into the groups that rules name")
		}
	}
	if len(order) < n {
		g.rejectCycles(c, members, left)
	}
	return order
}

// rejectCycles adds an error for each cycle among the groups that have parents left.
func (g *groupGraph) rejectCycles(c *checker, members []Member, left []int) {
	lines := g.firstLines(members)
	seen := make([]int, len(left)) // by group: the walk that came by, from 1
	for start := range left {
		if left[start] == 0 || seen[start] > 0 {
			continue
		}
		walk, path := start+1, []uint32{}
		id := uint32(start) // an id
		for seen[id] == 0 {
			seen[id] = walk
			path = append(path, id)
			for _, p := range g.parents(id) {
				if left[p] > 0 { // true of at least one parent, because id has parents left
					id = p
					break
				}
			}
		}
		if seen[id] == walk { // else it leads to a cycle that an earlier walk has found
			g.rejectCycle(c, members, append(path[slices.Index(path, id):], id), lines)
		}
	}
}

// firstLines returns the first line of each group in a group.
func (g *groupGraph) firstLines(members []Member) map[link]int {
	lines := map[link]int{}
	for i := range members {
		child, isGroup := strings.CutPrefix(members[i].Subject, groupPrefix)
		parent, ok := strings.CutPrefix(members[i].Group, groupPrefix)
		if !isGroup || !ok {
			continue
		}
		l := link{g.groups.find(child), g.groups.find(parent)}
		if _, ok := lines[l]; !ok {
			lines[l] = i
		}
	}
	return lines
}

// maxCycleNames bounds the groups that the error about a cycle names.
const maxCycleNames = 8

// rejectCycle adds an error for one cycle, at the last of its lines: the line that
// closes it.
func (g *groupGraph) rejectCycle(c *checker, members []Member, cycle []uint32, lines map[link]int) {
	last, names := 0, make([]string, 0, maxCycleNames+1)
	for i, id := range cycle {
		if i > 0 {
			last = max(last, lines[link{cycle[i-1], id}])
		}
		if i < maxCycleNames-1 || i == len(cycle)-1 {
			names = append(names, "group:"+g.groups.at(id))
		} else if i == maxCycleNames-1 {
			names = append(names, "…")
		}
	}
	m := &members[last]
	c.reject(Position{File: m.File, Line: m.Line, Number: last + 1}, "membership")("groups form a cycle: "+strings.Join(names, " → "), "remove one of these lines")
}
