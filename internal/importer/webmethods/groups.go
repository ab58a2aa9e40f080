package webmethods

import (
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// group is a group of users.cnf.
type group struct {
	name, here string
	named, ok  bool // here has been set, and is a group name
	line       *importer.Line
	members    map[string]bool // users and groups
	parents    []string        // groups that hold this one
	disabled   bool
}

// readGroups reads the groups. A member that is no user is a group.
func (s *instance) readGroups(d *document, isUser map[string]bool) (out []*group, err error) {
	all, err := d.records("groups")
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		g, err := s.readGroup(d, e)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	for _, name := range []string{everybody, anonymous} {
		if s.groups[name] == nil && s.groupsOf[name] != nil { // a member without a record
			s.groups[name] = &group{name: name, line: s.in.Line(d.at(0), "group "+name)}
			out = append(out, s.groups[name])
		}
	}
	for _, g := range out {
		if err := s.nest(d, g, isUser); err != nil {
			return nil, err
		}
	}
	if g := tooDeep(out); g != nil {
		return nil, d.error(g.line.Line, "the group %s is in a circle of groups, or they nest more than %d deep", escape.Quote(g.name, escape.Short), maxNesting)
	}
	return out, nil
}

// readGroup reads the members of a group.
func (s *instance) readGroup(d *document, e entry) (*group, error) {
	members, err := d.set(e, "members")
	if err != nil {
		return nil, err
	}
	enabled, err := d.text(e, "enabled")
	if err != nil {
		return nil, err
	}
	g := &group{name: e.name, disabled: enabled == "false", members: map[string]bool{}, line: s.in.Line(d.at(e.line), "group "+e.name+": "+strings.Join(members, ", "))}
	for _, m := range members {
		g.members[m] = true
		if s.groupsOf[m] == nil {
			s.groupsOf[m] = map[string]bool{}
		}
		s.groupsOf[m][e.name] = true
	}
	s.groups[e.name] = g
	return g, nil
}

// nest makes a group the parent of the groups that it holds.
func (s *instance) nest(d *document, g *group, isUser map[string]bool) error {
	if g.name == everybody {
		return nil
	}
	for _, m := range slices.Sorted(maps.Keys(g.members)) {
		child := s.groups[m]
		switch {
		case child == nil:
			continue // a user
		case isUser[m]:
			return d.error(g.line.Line, "%s, a member of the group %s, is both a user and a group", escape.Quote(m, escape.Short), escape.Quote(g.name, escape.Short))
		case g.name == anonymous:
			return d.error(g.line.Line, "the group Anonymous holds the group %s: here it holds Default alone", escape.Quote(m, escape.Short))
		}
		child.parents = append(child.parents, g.name)
	}
	return nil
}

// tooDeep returns a group that is more than maxNesting deep in others, or nil. In a circle the
// depth grows without end.
func tooDeep(all []*group) *group {
	depth := map[string]int{}
	for changed := true; changed; {
		changed = false
		for _, g := range all {
			for _, p := range g.parents {
				if depth[g.name] > depth[p] {
					continue
				}
				depth[g.name], changed = depth[p]+1, true
				if depth[g.name] > maxNesting {
					return g
				}
			}
		}
	}
	return nil
}

// closure returns groups with all that hold them.
func (s *instance) closure(names []string) map[string]bool {
	out := map[string]bool{}
	for len(names) > 0 {
		name := names[len(names)-1]
		names = names[:len(names)-1]
		if out[name] {
			continue
		}
		out[name] = true
		if g := s.groups[name]; g != nil {
			names = append(names, g.parents...)
		}
	}
	return out
}

// writeNesting writes the groups that hold a group.
func (s *instance) writeNesting(g *group) {
	if len(g.parents) == 0 {
		return
	}
	subject, ok := s.groupSubject(g.line, g.name)
	if !ok {
		return // its members are written as those of the groups that hold it
	}
	for _, parent := range s.namedGroups(g.line, g.parents) {
		g.line.Member(subject, parent)
	}
}

// namedGroups returns the subjects of groups. In place of a group without a name here it returns
// those that hold it.
func (s *instance) namedGroups(l *importer.Line, names []string) (out []string) {
	seen := map[string]bool{}
	names = slices.Clone(names)
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if seen[name] || name == everybody || name == anonymous {
			continue
		}
		seen[name] = true
		if subject, ok := s.groupSubject(l, name); ok {
			out = append(out, subject)
		} else if g := s.groups[name]; g != nil {
			names = append(names, g.parents...)
		}
	}
	return out
}
