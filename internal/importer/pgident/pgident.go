// Package pgident imports the user name maps of PostgreSQL whose system users are client
// certificates.
//
//	# MAPNAME  SYSTEM-USERNAME              PG-USERNAME
//	partners   "CN=alice,OU=Staff,O=Acme"   alice
package pgident

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/regex"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Options are the flags of the format.
type Options struct {
	Map        string // the map to read; "": the only one
	ClientName string // clientname of pg_hba.conf: CN or DN
	Each       bool   // write a regular expression certificate by certificate
}

// entry is a line of the map.
type entry struct {
	place           importer.Place
	text            string
	system, user    string
	userIsQuoted    bool
	expression      *regex.Pattern // of a system user that is a regular expression, if it is understood
	isExpression    bool
	capturesTheUser bool // \1 in user stands for a part of the system user
}

// Read reads a file, and those that it includes.
func Read(in *importer.Import, name string, o Options) error {
	keys := map[string]importer.Key{"CN": importer.CommonNameKey(), "DN": importer.OpenSSLKey(false)}
	key, ok := keys[o.ClientName]
	if !ok {
		return &configerror.Error{What: fmt.Sprintf("--clientname: %q", o.ClientName), Hint: "CN or DN, as clientname in pg_hba.conf; CN if it is absent"}
	}
	f := &file{in: in, main: name, maps: map[string][]*entry{}}
	if err := f.read(name, 0); err != nil {
		return err
	}
	chosen, err := f.choose(o.Map)
	if err != nil {
		return err
	}
	t := &translation{in: in, options: o, key: key, keys: in.NewKeys(key), entries: f.maps[chosen]}
	in.Remark(fmt.Sprintf("the system users are the %s of certificates, from --clientname: pg_hba.conf has it, and the file alone does not show it", map[string]string{"CN": "common names", "DN": "subjects"}[o.ClientName]))
	in.Remark("there a certificate may be several users, and the client chooses; here it is one: an exact line decides before a regular expression, and of two lines that are alike neither")
	in.Remark("databases, roles and pg_hba.conf are not read: write the rules for the users into policy.csv")
	in.SourceUsers = t.users
	t.carry()
	return nil
}

// choose returns the name of the map to read.
func (f *file) choose(name string) (string, error) {
	names := func(except string) string {
		var out []string
		for _, m := range f.names {
			if m != except || name == "" {
				out = append(out, escape.Printable(m, escape.Short))
			}
		}
		return escape.Printable(strings.Join(out, ", "), 1000)
	}
	switch {
	case name != "" && f.maps[name] == nil:
		return "", &configerror.Error{File: f.main, What: fmt.Sprintf("--map: the file has no map %q", name), Hint: "the maps are " + names("")}
	case name == "" && len(f.names) > 1:
		return "", &configerror.Error{File: f.main, What: "the file has several maps: " + names(""), Hint: "--map NAME, as map in pg_hba.conf, for one at a time"}
	case name == "" && len(f.names) == 1:
		name = f.names[0]
	case name != "" && len(f.names) > 1:
		f.in.Remark("the maps " + names(name) + " are not read")
	}
	return name, nil
}

// translation writes a map as mappings.
type translation struct {
	in      *importer.Import
	options Options
	key     importer.Key
	keys    *importer.Keys
	entries []*entry
	exact   map[string]bool // the system users of lines without an expression

	byText      map[string][]*entry // lines without an expression, by their system users
	expressions []*entry
}

func (t *translation) carry() {
	t.exact = map[string]bool{}
	for _, e := range t.entries {
		if !e.isExpression {
			t.exact[e.system] = true
		}
	}
	for i, e := range t.entries {
		l := t.in.Line(e.place, e.text)
		switch {
		case e.isExpression && strings.Contains(e.user, `\1`) && !alwaysCaptures(e.system[1:]):
			l.Limit(`the expression may match without a text for \1: then PostgreSQL refuses the certificate, whatever the lines after it are`, "write an expression that always has a text for it, or remove the line")
			for _, later := range t.entries[i+1:] {
				t.in.Line(later.place, later.text).Skip(fmt.Sprintf("line %d may refuse its certificates", e.place.Line), "")
			}
			t.entries = t.entries[:i]
			return
		case !e.userIsQuoted && (e.user == "all" || strings.HasPrefix(e.user, "+") || strings.HasPrefix(e.user, "/")):
			l.Skip(fmt.Sprintf("from PostgreSQL 16 on %s names many users, and the client chooses", escape.Quote(e.user, escape.Short)), "write one line for each user")
		case e.isExpression:
			t.carryExpression(l, e)
		default:
			t.carryExact(l, e)
		}
	}
}

// carryExact carries a line with a text of one certificate.
func (t *translation) carryExact(l *importer.Line, e *entry) {
	user, ok := l.User(e.user)
	if !ok {
		return
	}
	mappings, dead, why, hint := t.keys.Mappings(e.system, user)
	switch {
	case dead != "":
		l.Skip(dead, "correct the name, or remove the line")
	case why != "":
		l.Skip(why, hint)
	}
	for _, m := range mappings {
		l.Map(m)
	}
}

// carryExpression carries a line with a regular expression.
func (t *translation) carryExpression(l *importer.Line, e *entry) {
	subject, user, why := t.pattern(e)
	if why != "" {
		t.carryEach(l, e, why)
		return
	}
	if user != username.Variable {
		var ok bool
		if user, ok = l.User(user); !ok {
			return
		}
	}
	issuer, ok := l.Issuer(nil)
	if ok && l.Map(importer.Mapping{User: user, Kind: "subject", Value: subject, Issuer: issuer, Pattern: true}) {
		l.Change("it names only users whose name has no other characters than A-Z a-z 0-9 . _ @ - and is not reserved")
	}
}

// pattern returns the subject and the user of a mapping that is a pattern, or why there is none.
func (t *translation) pattern(e *entry) (subject, user, why string) {
	switch {
	case e.expression == nil:
		return "", "", "the regular expression is not understood"
	case t.key.Parse == nil:
		return "", "", "a part of a common name names no certificate"
	}
	subject, capture, why := e.expression.Subject(t.key.Parse)
	switch {
	case why != "" || !e.capturesTheUser:
		return subject, e.user, why
	case e.user != `\1` || capture != 1:
		return "", "", "its user is not the captured text alone"
	}
	return subject, username.Variable, ""
}

// carryEach reports a regular expression that no pattern here equals. With --each it carries the
// certificates at hand that it names.
func (t *translation) carryEach(l *importer.Line, e *entry, why string) {
	all := t.in.Certificates.All()
	if len(all) == 0 {
		l.Skip(why, `"/^CN=([^,]+),OU=…,O=…$" with clientname=DN is a pattern here; or --certs FOLDER with the certificates of the users, and --each`)
		return
	}
	named := map[*importer.Certificate]string{}
	for _, c := range all {
		text, _ := t.key.Text(c)
		if user, ok := t.userOf(e, c); ok && !t.exact[text] {
			named[c] = user
		}
	}
	why += fmt.Sprintf(". Of the %d certificates in --certs it names %d that no exact line does", len(all), len(named))
	switch {
	case !t.options.Each:
		l.Skip(why, "--each writes them one by one")
		return
	case len(named) == 0:
		l.Skip(why, "")
		return
	}
	for _, c := range all {
		if user, ok := named[c]; ok {
			if user, ok = l.User(user); ok {
				l.Map(c.Fingerprint(user))
			}
		}
	}
	l.Change(why + ": only these are written")
}
