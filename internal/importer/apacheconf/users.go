package apacheconf

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/apacheconf/fakeauth"
)

// maxUsers bounds the lines of an AuthUserFile: the hash of each is computed.
const maxUsers = 100_000

// commonName is the OID of the common name in DER.
const commonName = "\x55\x04\x03"

// userLine is a line of an AuthUserFile.
type userLine struct {
	line   *importer.Line
	dn     string // as FakeBasicAuth writes it
	name   string // of the user here; "" if it is not carried
	source string // the name for the report
	known  bool   // whether httpd lets the certificate in
	lets   bool
}

// users are the users of an AuthUserFile.
type users struct {
	in   *importer.Import
	keys *importer.Keys
	all  []*userLine
	byDN map[string]*userLine

	certificate map[string]*importer.Certificate // of --certs, by the subject
}

// readUsers reads an AuthUserFile. Of two lines for one user the first decides.
func (s *server) readUsers(path string) error {
	data, err := s.in.ReadFile(path)
	if err != nil {
		return err
	}
	u := &users{in: s.in, keys: s.in.NewKeys(importer.SlashKey(false, false)), byDN: map[string]*userLine{}}
	u.certificate = map[string]*importer.Certificate{}
	for _, c := range s.in.Certificates.All() {
		if text, ok := u.keys.Text(c); ok {
			u.certificate[text] = c
		}
	}
	s.users = u
	for _, l := range joinLines(string(data)) {
		subject, hash, _ := strings.Cut(l.text, ":")
		hash, _, _ = strings.Cut(hash, ":")
		one := &userLine{line: s.in.Line(importer.Place{File: path, Line: l.number}, subject+":…"), dn: subject, source: subject}
		switch {
		case len(l.text) > maxLine:
			return &configerror.Error{File: path, Line: l.number, What: fmt.Sprintf("a line of more than %d bytes, which httpd reads as two", maxLine), Hint: "shorten it"}
		case len(u.all) == maxUsers:
			return &configerror.Error{File: path, Line: l.number, What: fmt.Sprintf("more than %d users", maxUsers), Hint: "split the file"}
		case u.byDN[subject] != nil:
			one.line.Carry("an earlier line has the user, and decides there too")
			continue
		}
		u.byDN[subject] = one
		u.all = append(u.all, one)
		if !strings.HasPrefix(subject, "/") {
			one.known = true
			one.line.Skip("no subject: this user logs in with a password", "")
			continue
		}
		switch fakeauth.Check(hash) {
		case fakeauth.Same:
			one.known, one.lets = true, true
		case fakeauth.Other:
			one.known = true
			one.line.Carry("no user: the password of FakeBasicAuth is password, and the hash is of another")
		default:
			one.line.Skip("it is not known whether the hash is of password, the password of FakeBasicAuth", "htpasswd -b -m writes a hash that can be read")
		}
	}
	u.nameUsers()
	for _, one := range u.all {
		u.carry(one)
	}
	return nil
}

// nameUsers finds the names of the users: of --rename, or their common names.
func (u *users) nameUsers() {
	count := map[string]int{}
	raw := map[*userLine]string{} // the name to rename
	for _, one := range u.all {
		if !one.lets {
			continue
		}
		name := one.dn
		if _, renamed := u.in.Rename(name); !renamed {
			name = u.commonNameOf(one.dn)
		}
		if name == "" {
			one.line.Skip("its subject has no common name, or several", renameHint(one.dn))
			continue
		}
		raw[one] = name
		name, _ = u.in.Rename(name)
		count[name]++
	}
	for _, one := range u.all {
		name, ok := raw[one]
		if !ok {
			continue
		}
		if to, _ := u.in.Rename(name); count[to] > 1 {
			one.line.Skip("another line is user "+escape.Quote(to, escape.Short)+" too", renameHint(one.dn))
		} else if to, ok := one.line.User(name); ok {
			one.name, one.source = to, to
		}
	}
}

func renameHint(subject string) string { return "--rename " + escape.Shell(subject+"=NAME") }

// commonNameOf returns the only common name of a subject, or "".
func (u *users) commonNameOf(text string) (out string) {
	name, err := u.keys.Parse(text)
	if err != nil {
		if c := u.certificate[text]; c != nil {
			name, err = dn.FromDER(c.Cert.RawSubject)
		}
	}
	if err != nil {
		return ""
	}
	for _, set := range name.RDNs() {
		for _, a := range set {
			if a.OID == commonName {
				if out != "" {
					return ""
				}
				out = a.Value
			}
		}
	}
	return out
}

// carry adds the mappings of a user. A user without one has no name here.
func (u *users) carry(one *userLine) {
	if one.name == "" {
		return
	}
	mappings, dead, why, hint := u.keys.Mappings(one.dn, one.name)
	switch {
	case dead != "":
		one.line.Skip(dead, "correct the subject, or remove the line")
	case why != "":
		one.line.Skip(why, hint)
	}
	carried := false
	for _, m := range mappings {
		carried = one.line.Map(m) || carried
	}
	if !carried {
		one.name = ""
	}
}

// sourceUsers is Import.SourceUsers.
func (u *users) sourceUsers(c *importer.Certificate) ([]string, bool) {
	text, ok := u.keys.Text(c)
	if !ok {
		return nil, false
	}
	one := u.byDN[text]
	if one == nil || !u.in.IssuedUnder(c) {
		return nil, true
	}
	if !one.lets {
		return nil, one.known
	}
	return []string{one.source}, true
}

// readGroups reads an AuthGroupFile.
func (s *server) readGroups(path string) error {
	data, err := s.in.ReadFile(path)
	if err != nil {
		return err
	}
	s.groups = map[string]map[string]bool{}
	for _, l := range joinLines(string(data)) {
		fail := func(what string) error {
			return &configerror.Error{File: path, Line: l.number, What: what, Hint: "a line is NAME: \"SUBJECT\" …"}
		}
		if len(l.text) > maxLine {
			return fail(fmt.Sprintf("a line of more than %d bytes, which httpd reads as two", maxLine))
		}
		group, rest, ok := strings.Cut(l.text, ":")
		members, quoted := splitWords(rest)
		if !ok || !quoted {
			return fail("this is not a line of an AuthGroupFile")
		}
		group = strings.TrimRight(group, " \t")
		line := s.in.Line(importer.Place{File: path, Line: l.number}, l.text)
		if s.groups[group] == nil {
			s.groups[group] = map[string]bool{}
		}
		name, isName := "", false
		for _, m := range members {
			s.groups[group][m] = true
			one := s.users.byDN[m]
			switch {
			case one == nil || one.known && !one.lets:
				continue // no user
			case one.name == "":
				line.Skip("a member is not carried: "+escape.Quote(m, escape.Short), "")
				continue
			}
			if !isName {
				if name, isName = line.Group(group); !isName {
					break
				}
			}
			line.Member("user:"+one.name, "group:"+name)
		}
	}
	return nil
}
