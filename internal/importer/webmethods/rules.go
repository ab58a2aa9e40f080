package webmethods

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/policy"
)

const (
	invokeFolder  = "/invoke/"
	invokeMethods = "GET|POST"
	maxRules      = 200_000   // of a result
	maxDecisions  = 2_000_000 // services by ports
)

// target is a path of a service in a rule.
type target struct {
	path, methods string
}

// targets returns the paths of a service.
func (v *service) targets() (out []target) {
	switch {
	case v.isREST:
		for _, r := range v.rest {
			out = append(out, target{r.path, r.methods})
		}
	case v.folder:
		out = []target{{invokeFolder + v.name + "/{service}", invokeMethods}}
	default:
		out = v.invokeTargets(invokeMethods)
	}
	return out
}

// invokeTargets returns the two paths that begin with /invoke.
func (v *service) invokeTargets(methods string) []target {
	folder, name, _ := strings.Cut(v.name, ":")
	return []target{{invokeFolder + folder + "/" + name, methods}, {invokeFolder + v.name, methods}}
}

// writeRules writes the rules of every service on every port.
func (s *instance) writeRules() error {
	if len(s.order)*len(s.ports) > maxDecisions {
		return &configerror.Error{File: s.folder, What: fmt.Sprintf("%d services on %d ports are too many", len(s.order), len(s.ports)), Hint: "import fewer services, or fewer ports"}
	}
	own := s.ownACLs()
	for _, v := range s.order {
		if s.rules > maxRules {
			return &configerror.Error{File: s.folder, What: fmt.Sprintf("the result would have more than %d rules", maxRules), Hint: "import fewer services: a copy of aclmap_sm.cnf without those that are not called from outside"}
		}
		if s.writeDenials(v); !v.known {
			continue
		}
		a := s.aclFor(v)
		switch {
		case a == nil:
			continue
		case v.folder && s.options.Namespaces != nil:
			v.line.Carry("the services of --ns in it have rules of their own")
			continue
		case v.folder && own[v.name] != "":
			v.line.Skip("a service in the folder has an ACL of its own ("+own[v.name]+"), and a rule for the folder would open it", "--ns FOLDER with the package: each service gets its own rules")
			continue
		}
		reached := false
		for _, p := range s.ports {
			if p.reaches(v.name) {
				reached = true
				s.writePort(v, p, a)
			} else if !v.folder {
				s.expect(v, p, a, false)
			}
		}
		switch {
		case !reached:
			v.line.Carry("no port that is carried reaches it: no rule")
		case v.folder:
			v.line.Change("sub-folders of the folder, and the form /invoke/" + v.name + ":SERVICE, are not carried: --ns FOLDER lists the services")
		}
	}
	return nil
}

// ownACLs returns for each folder a service in it that has another ACL than the folder.
func (s *instance) ownACLs() map[string]string {
	out := map[string]string{}
	for name, a := range s.entries {
		if folder := folderOf(name); strings.Contains(name, ":") && a != s.aclOf(folder) && (out[folder] == "" || name < out[folder]) {
			out[folder] = name
		}
	}
	return out
}

// aclFor returns the ACL of a service, or reports that there is none: then no user may call it.
func (s *instance) aclFor(v *service) *acl {
	name := s.aclOf(v.name)
	a := s.acls[name]
	switch {
	case a == nil && name == "WmPrivate":
		v.line.Carry("WmPrivate lets no user in: no rule")
	case a == nil:
		v.line.Skip("there is no ACL "+name+" in acls.cnf: here no user may call it", "give it another ACL in the source")
	default:
		return s.use(a)
	}
	return nil
}

// writePort writes the rules of a service on a port that reaches it.
func (s *instance) writePort(v *service, p *port, a *acl) {
	complete := len(a.subjects) > 0
	for _, t := range v.targets() {
		if !complete {
			break
		}
		for _, g := range a.denied { // before those that allow: one that does not load stops them
			complete = s.rule(v, p, g, t, policy.Deny) && complete
		}
		for _, g := range a.subjects {
			complete = complete && s.rule(v, p, g, t, policy.Allow)
		}
	}
	s.expect(v, p, a, complete)
	if len(a.subjects) == 0 {
		v.line.Carry("the ACL " + a.name + " lets no user in here: no rule")
	}
}

func (s *instance) rule(v *service, p *port, subject string, t target, effect string) bool {
	s.rules++
	return v.line.Rule(policy.Rule{Subject: subject, Port: p.name, Method: t.methods, Path: t.path, Effect: effect})
}

// writeDenials writes the denials of ports that reach every service but some: they also hold
// against the rule for a folder, and against rules that are written later.
func (s *instance) writeDenials(v *service) {
	for _, p := range s.ports {
		if !p.open || p.closed || p.reaches(v.name) {
			continue
		}
		all := []target{{invokeFolder + v.name + "/*", "*"}}
		if !v.folder {
			all = v.invokeTargets("*")
			for _, r := range v.rest {
				all = append(all, target{r.path, r.methods})
			}
		}
		for _, t := range all {
			s.rule(v, p, "group:"+everybody, t, policy.Deny)
		}
	}
}

// expect adds the decisions of the source for a service on a port: for a user who may call it,
// and for one who may not. allowed is false if no user may.
func (s *instance) expect(v *service, p *port, a *acl, allowed bool) {
	yes, no := s.samples(a)
	for _, t := range v.targets() {
		method := t.methods[strings.LastIndexByte(t.methods, '|')+1:]
		if method == "*" {
			method = "GET"
		}
		e := importer.Expectation{Port: p.name, Method: method, Path: s.example(v, t.path)}
		if e.User = yes; yes != "" {
			e.Allow = allowed
			s.in.Expect(e)
		}
		if e.User = no; no != "" {
			e.Allow = false
			s.in.Expect(e)
		}
	}
}

// example returns a path that a pattern matches.
func (s *instance) example(v *service, pattern string) string {
	name := "some-service"
	for s.services[v.name+":"+name] != nil {
		name += "-x"
	}
	parts := strings.Split(pattern, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") || p == "*" {
			parts[i] = name
		}
	}
	return strings.Join(parts, "/")
}

// maxSearched bounds the search for users of the table of decisions: users by ACLs.
const maxSearched = 50_000_000

// samples returns a user whom an ACL allows, as far as it is carried, and one whom it does not. "":
// there is none. They are decided by the groups of the source, and not by the rules.
func (s *instance) samples(a *acl) (yes, no string) {
	if a.sampled {
		return a.yes, a.no
	}
	a.sampled = true
	if s.searched += len(s.users); s.searched > maxSearched {
		s.in.Remark("expected.txt has no decisions for some of the ACLs: there are too many users and ACLs")
		return "", ""
	}
	for _, u := range s.users {
		if !u.isActive() {
			continue
		}
		allowed := !u.isIn(a.deny) && u.isIn(a.allow)
		if allowed && a.yes == "" && u.name != defaultUser && u.isIn(a.granting) {
			a.yes = u.here
		}
		if !allowed && (a.no == "" || a.no == defaultUser) {
			a.no = u.here
		}
	}
	return a.yes, a.no
}

// isIn reports whether one of the groups holds the user.
func (u *user) isIn(groups []string) bool {
	for _, g := range groups {
		if name, external := localName(g); !external && u.groups[name] {
			return true
		}
	}
	return false
}
