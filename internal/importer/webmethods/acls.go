package webmethods

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// acl is an access control list: a user in a denied group may not call a service, another one in
// an allowed group may, and no others.
type acl struct {
	name        string
	line        *importer.Line
	allow, deny []string // groups, as the source names them

	used     bool     // the fields below are set
	subjects []string // of rules that allow, such as group:Partners
	denied   []string // of rules that deny
	granting []string // the groups of allow that subjects has

	sampled bool
	yes, no string // users for the table of decisions; "": none
}

// aclDefault is the ACL of a service without another.
const aclDefault = "Default"

// readACLs reads acls.cnf.
func (s *instance) readACLs() error {
	d, err := s.readConfig("acls.cnf")
	if err != nil {
		return err
	}
	all, err := d.records("groups")
	if err != nil {
		return err
	}
	for _, e := range all {
		a := &acl{name: e.name}
		name, err := d.text(e, "name")
		if err == nil && name != e.name {
			err = d.error(e.line, "the ACL %s has another name inside: %s", escape.Quote(e.name, escape.Short), escape.Quote(name, escape.Short))
		}
		if err == nil {
			a.allow, err = d.set(e, "allow")
		}
		if err == nil {
			a.deny, err = d.set(e, "deny")
		}
		if err != nil {
			return err
		}
		text := "ACL " + e.name + ": allow " + strings.Join(a.allow, ", ")
		if len(a.deny) > 0 {
			text += "; deny " + strings.Join(a.deny, ", ")
		}
		a.line = s.in.Line(d.at(e.line), text)
		s.acls[e.name] = a
	}
	if access, err := d.text(entry{value: d.root}, "defAccess"); err != nil || access == "true" {
		s.in.Remark("acls.cnf: defAccess is true: a user in no group of an ACL is refused here all the same")
	}
	return nil
}

// deniedGroups returns the groups that an ACL denies.
func (s *instance) deniedGroups() map[string]bool {
	out := map[string]bool{}
	for _, a := range s.acls {
		for _, g := range a.deny {
			name, _ := localName(g)
			out[name] = true
		}
	}
	return out
}

// use translates the groups of an ACL, once.
func (s *instance) use(a *acl) *acl {
	if a.used {
		return a
	}
	a.used = true
	// Another allowed group may hold Default, so that Anonymous needs its denial.
	everybodyButAnonymous := len(a.allow) == 1 && isLocal(everybody)(a.allow[0]) && slices.ContainsFunc(a.deny, isLocal(anonymous))
	for _, g := range a.deny {
		name, external := localName(g)
		switch {
		case name == anonymous && everybodyButAnonymous:
			continue // the allowed group is Authenticated
		case external:
			a.line.Limit("the members of the denied group "+escape.Quote(g, escape.Short)+" are in another directory", "--narrow, and write the rules of this ACL by hand")
			return a.without()
		}
		subject, ok := s.groupSubject(a.line, name)
		if !ok {
			a.line.Limit("the denied group "+escape.Quote(g, escape.Short)+" has no name here", "--rename "+escape.Shell(name+"=NAME"))
			return a.without()
		}
		a.denied = append(a.denied, subject)
	}
	for _, g := range a.allow {
		name, external := localName(g)
		if external {
			a.line.Skip("the members of the allowed group "+escape.Quote(g, escape.Short)+" are in another directory", "write the rules of its users by hand")
			continue
		}
		subject, ok := s.groupSubject(a.line, name)
		if !ok {
			continue
		}
		if everybodyButAnonymous {
			subject = "group:" + identity.Authenticated
		}
		a.subjects, a.granting = append(a.subjects, subject), append(a.granting, name)
	}
	if slices.Contains(a.denied, "group:"+everybody) {
		a.line.Carry("denies everybody: no rule")
		return a.without()
	}
	return a
}

// without removes the rules of an ACL: no user gets in.
func (a *acl) without() *acl {
	a.subjects, a.denied, a.granting = nil, nil, nil
	return a
}

// groupSubject returns the subject of rules for a group, or reports the line.
func (s *instance) groupSubject(l *importer.Line, name string) (string, bool) {
	if name == everybody || name == anonymous {
		return "group:" + name, true
	}
	if g := s.groups[name]; g != nil {
		if !g.named {
			g.named = true
			g.here, g.ok = s.names.group(g.line, name)
		}
		if !g.ok {
			l.Skip("the group "+escape.Quote(name, escape.Short)+" has no name here", "--rename "+escape.Shell(name+"=NAME"))
		}
		return "group:" + g.here, g.ok
	}
	here, ok := s.names.group(l, name) // without members
	return "group:" + here, ok
}

// isLocal returns a test for a group of users.cnf.
func isLocal(name string) func(string) bool {
	return func(g string) bool {
		local, external := localName(g)
		return local == name && !external
	}
}
