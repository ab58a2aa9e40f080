package kongyaml

import (
	"fmt"
	"slices"
	"strings"
)

// takeAway takes the methods from each element for which another one surely takes all requests.
func (i *importing) takeAway() {
	left := make([]int, len(i.elements))
	for at, e := range i.elements {
		left[at] = e.set
		for _, o := range i.elements {
			if o.route != e.route && o.set&e.set != 0 && o.isPlain() && strings.HasPrefix(e.prefix, o.prefix) && o.beats(e) {
				left[at] &^= o.set
			}
		}
	}
	for at, e := range i.elements {
		e.set = left[at]
	}
}

// denial keeps a rule of one element from letting in whom another one refuses.
type denial struct {
	*element          // the other one
	groups   []string // of the source
	everyone bool
	set      int // of methods
	paths    []string
}

// denials returns what must be denied beside the rules of e: for every element that may take a
// part of its requests, those whom e lets in and that element does not. It reports the line and
// returns false if no rule denies exactly these.
func (i *importing) denials(e *element) (out []denial, ok bool) {
	for _, o := range i.elements {
		set := e.covered() & o.set
		if o.route == e.route || set == 0 || !overlap(e.prefix, o.prefix) {
			continue
		}
		if e.beats(o) {
			set &^= e.set // HEAD may be left, which a rule for GET covers
		}
		d := denial{element: o, set: set}
		if set == 0 || !d.refuse(e) {
			continue
		}
		if d.everyone && o.kind == granted {
			e.line.Limit(fmt.Sprintf("it lets every consumer in, and %s, which decides about a part of its requests, only some", o), "a group for acl at both routes, in the source")
			return nil, false
		}
		if d.paths = i.region(e, o, set); d.paths == nil {
			hint := "change the routes in the source so that they do not overlap"
			if o.exact && len(o.prefix) > len(e.prefix) {
				hint = fmt.Sprintf("--whole-segments, if no path continues that of a route within a segment, such as %sX", o.prefix)
			}
			e.line.Limit(fmt.Sprintf("%s decides about a part of its requests, and may refuse some whom a rule for this route would let in", o), hint)
			return nil, false
		}
		out = append(out, d)
	}
	return out, true
}

// covered returns the methods that rules of an element cover.
func (e *element) covered() int {
	if e.set&bitGET != 0 {
		return e.set | bitHEAD
	}
	return e.set
}

// overlap reports whether a path that rules with the first beginning cover has the second one.
func overlap(rules, other string) bool {
	if strings.HasPrefix(rules, other) {
		return true
	}
	rest, ok := strings.CutPrefix(other, rules)
	return ok && (rules == "" || strings.HasSuffix(rules, "/") || rest[0] == '/')
}

// refuse sets the users that e lets in and the element of the denial does not, and returns false if there are none.
func (d *denial) refuse(e *element) bool {
	switch {
	case d.kind == open:
		return false
	case e.allow == nil && (d.kind == closed || d.allow != nil):
		d.everyone = true
		return true
	}
	for _, g := range e.allow {
		if d.kind == closed || d.allow != nil && !slices.Contains(d.allow, g) {
			d.groups = append(d.groups, g)
		}
	}
	for _, g := range d.deny {
		if !slices.Contains(e.deny, g) {
			d.groups = append(d.groups, g)
		}
	}
	return len(d.groups) > 0
}

// region returns the paths of rules that cover all requests of e that o may take, and leave some
// for e; nil if there are none.
func (i *importing) region(e, o *element, set int) []string {
	beginning := o.prefix
	if !o.exact || !i.options.WholeSegments {
		beginning = beginning[:strings.LastIndexByte(beginning, '/')+1]
	}
	switch {
	case len(beginning) > len(e.prefix) && (!o.exact || beginning == o.prefix):
		return rulePaths(beginning)
	case set&e.set == 0:
		return rulePaths(e.prefix) // HEAD of a route for GET
	}
	return nil
}
