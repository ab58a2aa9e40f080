package policy

import (
	"slices"
	"strings"
)

// order returns the groups so that each follows the groups that it stands in,
// without those on circles. Circles and too deep nesting are mistakes.
func (g *graph) order(c *checker, members []Member, line func(from, to uint32) int) []uint32 {
	n := g.groups.len()
	left, children := make([]int, n), make([][]uint32, n)
	for id := range uint32(n) { // an id
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
		// Only the first that is too deep, not all that stand on it.
		if depth[id] == maxNesting {
			c.about(members, groupPrefix+g.groups.at(id), "group:"+g.groups.at(id)+" stands more than 32 groups deep", "put it into the groups that matter directly")
		}
	}
	if len(order) < n {
		g.circles(c, members, left, line)
	}
	return order
}

// circles names the circles among the groups of which something is left.
func (g *graph) circles(c *checker, members []Member, left []int, line func(from, to uint32) int) {
	seen := make([]int, len(left)) // by which walk, from 1
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
				if left[p] > 0 { // always true of one: else nothing were left of id
					id = p
					break
				}
			}
		}
		if seen[id] != walk {
			continue // it leads to a circle that has been named
		}
		circle := append(path[slices.Index(path, id):], id)
		at, said := 0, make([]string, 0, 8)
		for i, id := range circle {
			if i > 0 {
				at = max(at, line(circle[i-1], id)) // the line that closes it
			}
			if i < 7 || i == len(circle)-1 {
				said = append(said, "group:"+g.groups.at(id))
			} else if i == 7 {
				said = append(said, "…")
			}
		}
		m := &members[at]
		c.add(m.File, m.Line, name(m.File, m.Line, "membership", at)+"groups stand in a circle: "+strings.Join(said, " → "), "take one of these lines out")
	}
}
