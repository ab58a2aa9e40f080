package kongyaml

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/policy"
)

// maxElements bounds the paths of routes: each is compared with every other.
const maxElements = 5000

// everyMethod is the method of rules for routes without methods.
const everyMethod = "GET|POST|PUT|PATCH|DELETE|OPTIONS"

// carryRoutes writes the rules of all routes.
func (i *importing) carryRoutes() error {
	i.everyone = "*"
	for _, r := range i.routes {
		r.line = i.Line(r.at, r.title())
		i.readAccess(i.Import, r)
		switch {
		case r.service != nil && !r.service.enabled:
			r.line.Carry("its service is disabled, and the route takes no requests")
			continue
		case !r.isHTTP():
			r.line.Skip("it is not HTTP", "")
			continue
		case !r.onHost(i.options.Host):
			r.line.Carry("it takes no requests to the host of --host")
			continue
		}
		if _, others := r.bits(); len(others) > 0 {
			i.everyone = everyMethod // such a method may be of another route, and * would cover it
		}
		i.elements = append(i.elements, r.split(i.old)...)
		if len(i.elements) > maxElements {
			return &configerror.Error{File: r.at.File, Line: r.at.Line, What: fmt.Sprintf("the routes have more than %d paths", maxElements), Hint: "import the services in parts"}
		}
	}
	i.takeAway()
	for _, e := range i.elements {
		if i.isCarried(e) {
			e.carried = i.carry(e)
		}
	}
	return nil
}

// isCarried returns true for an element that rules can express, and reports one that they cannot.
func (i *importing) isCarried(e *element) bool {
	l, conditions := e.line, e.conditions()
	switch _, others := e.bits(); {
	case e.kind == open:
		l.Skip("no plugin authenticates the caller, and everybody is let in there", "a rule for group:Everybody, and strict: false on the port, if that is meant")
	case e.kind == closed:
		l.Skip(e.why, "write the rules by hand")
	case slices.Equal(conditions, []string{"hosts"}):
		l.Skip("its hosts decide too, and rules here have none", "--host NAME, if the server gets requests to one host alone")
	case len(conditions) > 0:
		l.Skip("its "+strings.Join(conditions, ", ")+" decide too, and rules here have none", "write the rules by hand")
	case e.path != "" && !e.exact:
		l.Skip(fmt.Sprintf("the path %q is a pattern, or has characters that a rule does not have as they are", e.path), "write the rules by hand")
	default:
		if len(others) > 0 {
			l.Skip("rules know no method "+strings.Join(others, ", "), "write the rules by hand")
		}
		if e.set == 0 && len(others) == 0 {
			l.Carry("other routes take all its requests")
		}
		return e.set != 0
	}
	return false
}

// carry writes the rules of an element, with the denials that keep them from being wider.
func (i *importing) carry(e *element) bool {
	denials, ok := i.denials(e)
	if !ok {
		return false
	}
	subjects := []string{"group:Authenticated"}
	if e.allow != nil {
		subjects = nil
		for _, name := range e.allow {
			if group, ok := i.group(e.line, name); ok {
				subjects = append(subjects, "group:"+group)
			}
		}
	}
	own := denial{element: e, groups: e.deny, set: e.set, paths: rulePaths(e.prefix)}
	for _, d := range append(denials, own) {
		if !i.deny(d) {
			return false
		}
	}
	for _, subject := range subjects {
		for _, path := range own.paths {
			i.rule(e, policy.Rule{Subject: subject, Port: "*", Method: formatMethods(e.set, i.everyone), Path: path, Effect: policy.Allow})
		}
	}
	if strings.TrimSuffix(e.prefix, "/") == e.prefix && e.prefix != "" && !i.options.WholeSegments {
		e.line.Change(fmt.Sprintf("a path that continues it within a segment, such as %sX, is refused here", e.prefix))
	}
	return len(subjects) > 0
}

// deny writes a denial. It returns false if that is not possible.
func (i *importing) deny(d denial) bool {
	if d.everyone {
		d.groups = append(d.groups, "Authenticated")
	}
	for _, name := range d.groups {
		group, ok := name, true
		if !d.everyone || name != "Authenticated" {
			group, ok = i.group(d.line, name)
		}
		if !ok {
			d.line.Limit(fmt.Sprintf("the group %q, which is refused, has no name here", name), "--rename with a name for it")
			return false
		}
		for _, path := range d.paths {
			if !i.rule(d.element, policy.Rule{Subject: "group:" + group, Port: "*", Method: formatMethods(d.set, i.everyone), Path: path, Effect: policy.Deny}) {
				return false
			}
		}
	}
	return true
}

// rule writes a rule, once.
func (i *importing) rule(e *element, r policy.Rule) bool {
	key := strings.Join([]string{r.Subject, r.Method, r.Path, r.Effect}, "\x00")
	if ok, known := i.written[key]; known {
		return ok
	}
	i.written[key] = e.line.Rule(r)
	return i.written[key]
}

// rulePaths returns the paths of rules for all paths with a beginning, by whole segments.
func rulePaths(beginning string) []string {
	switch {
	case beginning == "":
		return []string{"/*"}
	case strings.HasSuffix(beginning, "/"):
		return []string{beginning + "*"}
	}
	return []string{beginning, beginning + "/*"}
}
