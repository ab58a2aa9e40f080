package policy

import (
	"slices"
	"strings"
)

// sortGroups returns the groups in an order in which each group comes after the groups
// that it is in. Groups on cycles are left out. Cycles and too deep nesting are errors.
func (g *groupGraph) sortGroups(c *checker, members []Member, lines map[link]int) []uint32 {
	n := g.groups.len()
	left, children := make([]int, n), make([][]uint32, n) // left: parents that are not in the order yet
	for id := range uint32(n) {                           // an id
		for _, p := range g.parents(id) {
			left[id]++
			children[p] = append(children[p], id)
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
		for _, child := range children[order[i]] {
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
		g.rejectCycles(c, members, left, lines)
	}
	return order
}

// rejectCycles adds an error for each cycle among the groups that have parents left.
func (g *groupGraph) rejectCycles(c *checker, members []Member, left []int, lines map[link]int) {
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
