package policy

import (
	"slices"
	"strings"
)

// Finding is a line that loads but is probably not what somebody meant.
type Finding struct {
	Position string `json:"position"` // "policy.csv:3", as Decision names rules
	Line     string `json:"line"`     // the line itself
	What     string `json:"what"`
	Hint     string `json:"hint,omitempty"`
}

// String returns "position: what (hint)".
func (f Finding) String() string {
	if f.Hint == "" {
		return f.Position + ": " + f.What
	}
	return f.Position + ": " + f.What + " (" + f.Hint + ")"
}

// Lint returns what is probably wrong: rules that can never decide anything, lines
// said twice, groups without users that rules name, groups with members that no
// rule names, names that look like reserved ones. Rules come first, then
// memberships, each in their order. It is nil where there is nothing to say.
func (e *Engine) Lint() []Finding {
	if !e.loaded() {
		return nil
	}
	l := &linter{Engine: e, closures: map[string][]uint32{}}
	l.subjects = l.subjectIDs()
	seenGroup := map[string]bool{}
	for i := range e.lines.len() {
		f := strings.SplitN(e.lines.at(i), ",", 5)
		l.rule(i, Rule{Subject: f[0], Port: f[1], Method: f[2], Path: f[3], Effect: Effect(f[4])})
		if group, ok := strings.CutPrefix(f[0], groupPrefix); ok && !seenGroup[group] {
			seenGroup[group] = true
			l.groupOfRule(i, group)
		}
	}
	l.memberships()
	if e.unended != "" {
		l.found = append(l.found, Finding{Position: e.unended,
			What: "no line end follows the last line", Hint: "a file that was cut short here could not be told from a whole one"})
	}
	return l.found
}

type linter struct {
	*Engine
	subjects map[string]uint32   // as the compiler numbered them
	closures map[string][]uint32 // what each subject always is as well
	found    []Finding
	marks    marks
}

// subjectIDs numbers subjects as the compiler did: in the order of the rules.
func (l *linter) subjectIDs() map[string]uint32 {
	ids := map[string]uint32{}
	for i := range l.lines.len() {
		subject, _, _ := strings.Cut(l.lines.at(i), ",")
		if _, ok := ids[subject]; !ok {
			ids[subject] = uint32(len(ids) + 1) // an id
		}
	}
	return ids
}

func (l *linter) add(i int, r Rule, what, hint string) {
	l.found = append(l.found, Finding{l.rulePos.at(i), r.String(), what, hint})
}

// rule finds what makes one rule useless.
func (l *linter) rule(i int, r Rule) {
	mask, _, _ := l.words.mask(r.Method)
	if r.Path == starPath && mask&^bitOPTIONS != 0 {
		l.add(i, r, "the path * is only the target of OPTIONS *", "write /* for every path")
	}
	own := l.subjects[r.Subject]
	same, dead := cover{left: mask}, cover{left: mask}
	l.covering(r, func(en entry) {
		other := int(en.rule &^ denyBit)
		if other == i {
			return
		}
		denies := en.rule&denyBit != 0
		if en.subject == own && denies == (r.Effect == Deny) {
			same.take(en.methods, other)
		}
		if denies && r.Effect == Allow && (en.subject == own || slices.Contains(l.always(r.Subject), en.subject)) {
			dead.take(en.methods, other)
		}
	})
	switch {
	case dead.left == 0:
		l.add(i, r, "this rule never allows anything: "+l.positions(dead.rules)+" denies all of it", "deny beats allow; take one of them out")
	case same.left == 0 && len(same.rules) == 1 && l.lines.at(same.rules[0]) == l.lines.at(i):
		l.add(i, r, "this rule stands at "+l.positions(same.rules)+" already", "take one of them out")
	case same.left == 0:
		l.add(i, r, "this rule says nothing that "+l.positions(same.rules)+" does not say", "take it out, or narrow the other")
	}
}

func (l *linter) positions(rules []int) string {
	slices.Sort(rules)
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = l.rulePos.at(r)
	}
	return strings.Join(out, " and ")
}

// always returns the subjects that whoever has this one has too.
func (l *linter) always(subject string) []uint32 {
	if ids, ok := l.closures[subject]; ok {
		return ids
	}
	var groups []uint32
	if user, ok := strings.CutPrefix(subject, userPrefix); ok {
		groups = l.graph.closure(&l.marks, base(user), l.graph.direct(l.graph.users.find(user)))
	} else {
		group := strings.TrimPrefix(subject, groupPrefix)
		from := []uint32{idEverybody, l.graph.groups.find(group)}
		if !isBuiltIn(group) {
			from = append(from, idAuthenticated) // Default cannot be put into a group …
		}
		if l.reachedByAnonymous(group) {
			from = from[:2] // … but Anonymous and Everybody can
		}
		groups = l.graph.closure(&l.marks, from)
	}
	ids := make([]uint32, 0, len(groups))
	for _, id := range groups {
		if s, ok := l.subjects[groupPrefix+l.graph.groups.at(id)]; ok {
			ids = append(ids, s)
		}
	}
	l.closures[subject] = ids
	return ids
}

// reachedByAnonymous reports whether Default stands in a group.
func (l *linter) reachedByAnonymous(group string) bool {
	_, found := slices.BinarySearch(l.Groups(Default), group)
	return found
}

// groupOfRule looks at a group where a rule names it first.
func (l *linter) groupOfRule(i int, group string) {
	f := strings.SplitN(l.lines.at(i), ",", 5)
	r := Rule{Subject: f[0], Port: f[1], Method: f[2], Path: f[3], Effect: Effect(f[4])}
	if l.graph.empty[l.graph.groups.find(group)] {
		hint := "write: g, user:NAME, group:" + group
		if like := likeReserved(group); like != "" {
			hint = "or did you mean group:" + like + "?"
		}
		l.add(i, r, "no user stands in group:"+group, hint)
	}
}

// likeReserved returns the reserved group that a name differs from in case alone.
func likeReserved(group string) string {
	for _, r := range []string{Everybody, Authenticated, Anonymous} {
		if group != r && strings.EqualFold(group, r) {
			return r
		}
	}
	return ""
}

// memberships finds lines said twice, and groups that no rule names, neither
// themselves nor by what they stand in.
func (l *linter) memberships() {
	first, seen := map[string]int{}, map[string]bool{}
	for i := range l.members.len() {
		text := l.members.at(i)
		member, subject, _ := strings.Cut(text, ",")
		add := func(what, hint string) {
			line := Member{Subject: member, Group: subject}.String()
			l.found = append(l.found, Finding{l.memberPos.at(i), line, what, hint})
		}
		if at, ok := first[text]; ok {
			add("this membership stands at "+l.memberPos.at(at)+" already", "take one of them out")
			continue
		}
		first[text] = i
		if seen[subject] {
			continue
		}
		seen[subject] = true
		group := strings.TrimPrefix(subject, groupPrefix)
		named := slices.ContainsFunc(l.graph.closure(&l.marks, []uint32{l.graph.groups.find(group)}), func(id uint32) bool {
			_, ok := l.subjects[groupPrefix+l.graph.groups.at(id)]
			return ok
		})
		if !named {
			add("no rule names "+subject+", nor a group that it stands in", "write a rule for it, or take its members out")
		}
	}
}
