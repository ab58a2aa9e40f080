package policy

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/rulepath"
)

// Lint returns the lines that are probably wrong: rules that never have an effect,
// repeated lines, groups that rules name and that have no users, groups that have
// members and that no rule names, and names that resemble built-in ones. A Note explains what
// {user} means in a rule. About is "policy". The findings about rules come first, then those about memberships, each in
// their order. Lint returns nil without findings.
func (e *Engine) Lint() []configerror.Finding {
	if !e.isBuilt() {
		return nil
	}
	l := &linter{Engine: e, implications: map[string][]uint32{}, anonymousGroups: e.Groups(identity.Default)}
	seen := map[string]bool{}
	for i := range e.rules.len() {
		r := e.rule(i)
		l.checkEffect(i, r)
		l.checkOwnSegment(i, r)
		if group, ok := strings.CutPrefix(r.Subject, groupPrefix); ok && !seen[group] {
			seen[group] = true
			l.checkGroupHasUsers(i, group)
		}
	}
	l.checkMemberships()
	if e.unended.Line > 0 {
		l.add(e.unended, "", "no line end follows the last line", "end the file with a line end: without it, a file that was cut short here looks whole")
	}
	return l.found
}

type linter struct {
	*Engine
	implications    map[string][]uint32 // results of implied
	anonymousGroups []string            // sorted
	found           []configerror.Finding
	marks           marks
}

// subject returns the number of a subject that a rule names.
func (e *Engine) subject(s string) uint32 {
	if name, ok := strings.CutPrefix(s, userPrefix); ok {
		return userSubject(e.groups.users.find(name))
	}
	return groupSubject(e.groups.groups.find(strings.TrimPrefix(s, groupPrefix)))
}

// closure returns the given groups and all groups that they are in.
func (l *linter) closure(from ...[]uint32) []uint32 {
	return l.groups.closure(l.marks.cleared(l.groups.groups.len()), from...)
}

// add adds a finding at a position. Without a line to show beside it, the message
// begins with the kind and the number.
func (l *linter) add(at Position, kind, wrong, hint string) {
	l.found = append(l.found, configerror.Finding{About: "policy", File: at.File, Line: at.Line, What: at.prefix(kind) + wrong, Hint: hint})
}

func (l *linter) addRule(i int, wrong, hint string) {
	l.add(l.rules.position(i), "rule", wrong, hint)
}

// checkEffect reports a rule that has no effect.
func (l *linter) checkEffect(i int, r Rule) {
	mask, _, _ := l.vocabulary.mask(r.Method)
	if r.Path == rulepath.Star && mask&^bitOPTIONS != 0 {
		l.addRule(i, "the path * is only the target of OPTIONS *", "write /* for every path")
	}
	own := l.subject(r.Subject)
	repeated, denied := cover{left: mask}, cover{left: mask}
	l.coveringEntries(r, func(en entry) {
		other := int(en.rule &^ denyBit)
		if other == i {
			return
		}
		denies := en.rule&denyBit != 0
		if en.subject == own && denies == (r.Effect == Deny) {
			repeated.take(en.methods, other)
		}
		if denies && r.Effect == Allow && (en.subject == own || slices.Contains(l.implied(r.Subject), en.subject)) {
			denied.take(en.methods, other)
		}
	})
	switch {
	case denied.left == 0:
		l.addRule(i, "this rule never allows anything: "+l.positions(denied.rules)+" denies all of it", "deny beats allow; remove one of them")
	case repeated.left == 0 && len(repeated.rules) == 1 && l.rules.at(repeated.rules[0]) == l.rules.at(i):
		l.addRule(i, "this rule repeats "+l.positions(repeated.rules), "remove one of them")
	case repeated.left == 0:
		l.addRule(i, "this rule has no effect beside "+l.positions(repeated.rules), "remove it, or narrow the other")
	}
}

// positions joins the positions of rules.
func (l *linter) positions(rules []int) string {
	slices.Sort(rules)
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = l.rules.position(r).String()
	}
	return strings.Join(out, " and ")
}

// implied returns the subjects that every user with this subject has too.
func (l *linter) implied(subject string) []uint32 {
	if ids, ok := l.implications[subject]; ok {
		return ids
	}
	var closure []uint32
	if user, ok := strings.CutPrefix(subject, userPrefix); ok {
		closure = l.closure(builtInGroups(user), l.groups.groupsOfUser(l.groups.users.find(user)))
	} else {
		group := strings.TrimPrefix(subject, groupPrefix)
		from := []uint32{idEverybody, l.groups.groups.find(group)}
		// A policy cannot put Default into a group, but it can put Anonymous and
		// Everybody into one.
		if _, hasDefault := slices.BinarySearch(l.anonymousGroups, group); !hasDefault && !isBuiltIn(group) {
			from = append(from, idAuthenticated)
		}
		closure = l.closure(from)
	}
	ids := l.groups.appendSubjects(nil, closure)
	l.implications[subject] = ids
	return ids
}

// checkGroupHasUsers reports a group without users, at the first rule that names it.
func (l *linter) checkGroupHasUsers(i int, group string) {
	if !l.groups.empty[l.groups.groups.find(group)] {
		return
	}
	hint := "write: g, user:NAME, group:" + group
	if similar := similarBuiltIn(group); similar != "" {
		hint = "or did you mean group:" + similar + "?"
	}
	l.addRule(i, "group:"+group+" has no users", hint)
}

// similarBuiltIn returns the built-in group from which a name differs in case alone, or
// "".
func similarBuiltIn(group string) string {
	for _, name := range builtInNames {
		if group != name && strings.EqualFold(group, name) {
			return name
		}
	}
	return ""
}

// checkMemberships reports repeated lines, and groups that no rule names, neither
// directly nor through a group that they are in.
func (l *linter) checkMemberships() {
	first, seen := map[string]int{}, map[string]bool{}
	for i := range l.members.len() {
		at, line := l.members.position(i), l.members.at(i)
		if j, ok := first[line]; ok {
			l.add(at, "membership", "this membership repeats "+l.members.position(j).text("membership"), "remove one of them")
			continue
		}
		first[line] = i
		_, subject, _ := strings.Cut(line, ",")
		if seen[subject] {
			continue
		}
		seen[subject] = true
		group := l.groups.groups.find(strings.TrimPrefix(subject, groupPrefix))
		isNamed := slices.ContainsFunc(l.closure([]uint32{group}), func(id uint32) bool { return l.groups.inRules[id] })
		if !isNamed {
			l.add(at, "membership", "no rule names "+subject+" or a group that it is in", "write a rule for it, or remove its members")
		}
	}
}
