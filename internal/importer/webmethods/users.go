package webmethods

import (
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// user is a user of users.cnf.
type user struct {
	name, here string
	ok         bool // here is a user name
	enabled    bool
	lost       bool            // a denied group that holds the user is not known: fail closed
	line       *importer.Line  // of the file
	groups     map[string]bool // that hold the user, nested ones included
}

// maxNesting is the depth to which groups may nest, and maxGroups how many may hold one user.
const (
	maxNesting = 30
	maxGroups  = 1000
)

// readUsers reads users.cnf. Both the user and the group list a membership.
func (s *instance) readUsers() error {
	d, err := s.readConfig("users.cnf")
	if err != nil {
		return err
	}
	users, err := d.records("users")
	if err != nil {
		return err
	}
	isUser := map[string]bool{}
	for _, e := range users {
		isUser[e.name] = true
	}
	groups, err := s.readGroups(d, isUser)
	if err != nil {
		return err
	}
	denied := s.deniedGroups()
	for _, e := range users {
		if err := s.readUser(d, e, denied); err != nil {
			return err
		}
	}
	for _, g := range groups {
		s.writeNesting(g)
	}
	return nil
}

// readUser reads a user and writes the groups that hold the user.
func (s *instance) readUser(d *document, e entry, denied map[string]bool) error {
	members, err := d.set(e, "members")
	if err != nil {
		return err
	}
	t, err := d.texts(e, "name", "enabled")
	switch {
	case err != nil:
		return err
	case t["name"] != e.name:
		return d.error(e.line, "the user %s has another name inside: %s", escape.Quote(e.name, escape.Short), escape.Quote(t["name"], escape.Short))
	}
	u := &user{name: e.name, enabled: t["enabled"] == "true", line: s.in.Line(d.at(e.line), "user "+e.name+": "+strings.Join(members, ", "))}
	s.users = append(s.users, u)
	if u.name == defaultUser {
		u.line.Carry("the user Default of this product")
		u.here, u.ok, u.enabled = defaultUser, true, true
	} else {
		u.here, u.ok = s.names.user(u.line, u.name)
	}
	var direct []string
	for _, g := range slices.Sorted(maps.Keys(s.groupsAbout(u, members))) {
		if s.isMember(u, g, members, denied) {
			direct = append(direct, g)
		}
	}
	u.groups = s.closure(append(s.builtInGroups(u), direct...))
	if s.memberships += len(u.groups); len(u.groups) > maxGroups || s.memberships > maxValues {
		return d.error(e.line, "the user %s is in more than %d groups, or all users together in more than %d", escape.Quote(e.name, escape.Short), maxGroups, maxValues)
	}
	switch {
	case t["enabled"] != "true" && t["enabled"] != "false" && u.name != defaultUser:
		u.line.Skip("enabled is neither true nor false: the user counts as disabled", "enable or disable the user in the source")
	case !u.enabled:
		u.line.Carry("disabled there: in no group, and refused here")
	case u.ok && !u.lost:
		s.writeMember(u, direct)
	}
	return nil
}

// builtInGroups returns the groups that hold every user implicitly.
func (s *instance) builtInGroups(u *user) []string {
	if u.name == defaultUser {
		return []string{everybody, anonymous}
	}
	return []string{everybody}
}

// isActive reports whether the user may log in.
func (u *user) isActive() bool { return u.ok && u.enabled && !u.lost }

// groupsAbout returns the groups that the user names, and those that name the user.
func (s *instance) groupsAbout(u *user, members []string) map[string]bool {
	out := s.groupsOf[u.name]
	if out == nil {
		out = map[string]bool{}
	}
	for _, g := range members {
		out[g] = true
	}
	delete(out, everybody)
	if u.name == defaultUser {
		delete(out, anonymous)
	}
	return out
}

// isMember reports whether a group holds a user. If only one of the two lists it, or the group is
// Anonymous, the membership is not carried. If an ACL denies the group, then neither is the user:
// the denial could not be carried.
func (s *instance) isMember(u *user, name string, members []string, denied map[string]bool) bool {
	g := s.groups[name]
	why, hint := "", ""
	inside := s.closure([]string{name})
	switch {
	case u.name != defaultUser && inside[anonymous]:
		why, hint = "the user is in the group Anonymous, which holds no named user here", "remove the user from the group"
	case g == nil || !g.members[u.name] || !slices.Contains(members, name):
		why, hint = "of the user and the group "+escape.Quote(name, escape.Short)+" only one lists the membership", "add or remove the membership in the source"
	case slices.ContainsFunc(slices.Collect(maps.Keys(inside)), func(g string) bool { return s.groups[g] != nil && s.groups[g].disabled }):
		why, hint = "the group "+escape.Quote(name, escape.Short)+", or one that holds it, is disabled", "enable the group in the source, or remove it"
	default:
		return true
	}
	for g := range inside {
		if denied[g] {
			u.line.Limit(why+", and an ACL denies the group", hint)
			u.lost = true // the denial would not reach the user
			return false
		}
	}
	u.line.Skip(why, hint)
	return false
}

// writeMember writes the groups that hold a user.
func (s *instance) writeMember(u *user, direct []string) {
	subject := "user:" + u.here
	if u.name == defaultUser {
		subject = "group:" + anonymous // its only member
	}
	for _, g := range s.namedGroups(u.line, direct) {
		u.line.Member(subject, g)
	}
}
