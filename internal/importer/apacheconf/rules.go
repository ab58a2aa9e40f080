package apacheconf

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/policy"
)

// carry reads the users and groups that the Locations require, and adds the rules.
func (s *server) carry() error {
	var first location
	for _, loc := range s.locations {
		e := s.effective(loc)
		if loc.requires && e.fake == 1 && e.basic == 1 && e.userFile != "" {
			first.userFile = cmp.Or(first.userFile, e.userFile)
			if first.userFile == e.userFile {
				first.groupFile = cmp.Or(first.groupFile, e.groupFile)
			}
		}
	}
	if first.userFile == "" {
		return &configerror.Error{File: s.main, What: "no Location requires a user of FakeBasicAuth", Hint: "SSLOptions +FakeBasicAuth, AuthType Basic, AuthUserFile and Require, as the documentation of mod_ssl shows"}
	}
	if !s.requests {
		return &configerror.Error{File: s.main, What: "no SSLVerifyClient: httpd requests no certificate", Hint: "SSLVerifyClient require in the configuration, or --host of the VirtualHost that has it"}
	}
	path, err := s.file(first.userFile)
	if err != nil {
		return err
	}
	if err := s.readUsers(path); err != nil {
		return err
	}
	s.in.SourceUsers = s.users.sourceUsers
	if first.groupFile != "" {
		if path, err = s.file(first.groupFile); err != nil {
			return err
		}
		if err := s.readGroups(path); err != nil {
			return err
		}
	}
	for _, loc := range s.locations {
		if loc.requires || loc.unclear != "" {
			s.carryLocation(loc, first)
		}
	}
	return nil
}

// file returns the path of a file that the configuration names: in its folder, or one of the same
// name there.
func (s *server) file(name string) (string, error) {
	path, err := s.in.Inside(s.main, name)
	if err != nil && filepath.IsAbs(name) {
		if beside, wrong := s.in.Inside(s.main, filepath.Base(name)); wrong == nil {
			return beside, nil
		}
	}
	return path, err
}

// effective returns what holds in a Location: it inherits from those that cover it.
func (s *server) effective(loc *location) (out location) {
	out.fake = s.fake
	for _, o := range s.locations {
		if !covers(o.path, loc.path) {
			continue
		}
		out.userFile, out.groupFile = cmp.Or(o.userFile, out.userFile), cmp.Or(o.groupFile, out.groupFile)
		out.fake, out.basic = cmp.Or(o.fake, out.fake), cmp.Or(o.basic, out.basic)
		out.condition = cmp.Or(o.condition, out.condition)
	}
	return out
}

// carryLocation adds the rules of a Location.
func (s *server) carryLocation(loc *location, first location) {
	l := s.in.Line(loc.node.place, loc.node.text)
	if denies(loc) && loc.unclear == "" {
		switch {
		case s.overridden(loc) != nil:
			l.Carry("<" + cut(s.overridden(loc)) + "> comes later, and decides in its place")
		case s.covered(loc):
			s.addRules(l, loc, "group:Everybody", policy.Deny)
			s.expect(loc, nil)
		default:
			l.Carry("no user: no rule")
			s.expect(loc, nil)
		}
		return
	}
	if why, hint := s.reject(loc, first); why != "" {
		l.Skip(why, hint)
		return
	}
	if loc.allGranted {
		l.Skip("everybody is let in", "p, group:Everybody in policy.csv, if that is meant")
	}
	var lets []string // the users that are let in
	for _, sub := range loc.subjects {
		lets = append(lets, s.carrySubject(l, loc, sub)...)
	}
	s.expect(loc, lets)
}

// carrySubject adds the rules for a subject of a Require, and returns the users that are let in.
func (s *server) carrySubject(l *importer.Line, loc *location, sub subject) (lets []string) {
	name := sub.name
	member := func(one *userLine) bool { return true }
	switch sub.kind {
	case "user":
		one := s.users.byDN[sub.name]
		switch {
		case one == nil || one.known && !one.lets:
			l.Carry("user " + escape.Quote(sub.name, escape.Short) + " has no user there")
		case one.name == "":
			l.Skip("user "+escape.Quote(sub.name, escape.Short)+" is not carried", "")
		case s.addRules(l, loc, "user:"+one.name, policy.Allow):
			return []string{one.name}
		}
		return nil
	case "group":
		if len(s.groups[name]) == 0 {
			l.Carry("group " + escape.Quote(name, escape.Short) + " has no member there")
			return nil
		}
		member = func(one *userLine) bool { return s.groups[name][one.dn] }
	default:
		name = sub.kind
		if s.groups[name] != nil {
			l.Skip("a group of the AuthGroupFile has the name valid-user", "rename it in the source")
			return nil
		}
	}
	group, ok := l.Group(name)
	if !ok || !s.addRules(l, loc, "group:"+group, policy.Allow) {
		return nil
	}
	for _, one := range s.users.all {
		if one.name == "" || !member(one) {
			continue
		}
		if sub.kind != "group" {
			one.line.Member("user:"+one.name, "group:"+group)
		}
		lets = append(lets, one.name)
	}
	return lets
}

// addRules adds the rules for the paths of a Location.
func (s *server) addRules(l *importer.Line, loc *location, subject, effect string) bool {
	ok := true
	for _, path := range paths(loc.path) {
		ok = l.Rule(policy.Rule{Subject: subject, Port: "*", Method: "*", Path: path, Effect: effect}) && ok
	}
	return ok
}

// paths returns the paths of rules for a Location, which holds for its path and all below it.
func paths(path string) []string {
	if strings.HasSuffix(path, "/") {
		return []string{path + "*"}
	}
	return []string{path, path + "/*"}
}

// maxExpected bounds the users of the table for each Location.
const maxExpected = 10

// expect adds what httpd decides for the users and the path of a Location. It is denied if httpd denies
// it, and allowed if the rules are carried too.
func (s *server) expect(loc *location, lets []string) {
	n := 0
	for _, one := range s.users.all {
		if one.name == "" {
			continue
		}
		if n++; n > maxExpected {
			return
		}
		allowed := slices.Contains(lets, one.name)
		if allowed || !s.allows(loc, one) {
			s.in.Expect(importer.Expectation{User: one.name, Port: "*", Method: "GET", Path: loc.path, Allow: allowed})
		}
	}
}

// allows reports whether httpd may let a user in.
func (s *server) allows(loc *location, one *userLine) bool {
	return loc.allGranted || loc.other || slices.ContainsFunc(loc.subjects, func(sub subject) bool {
		return sub.kind == "valid-user" || sub.kind == "user" && sub.name == one.dn || sub.kind == "group" && s.groups[sub.name][one.dn]
	})
}
