// Package natsconf imports the users of a configuration of NATS that are found by client
// certificates.
//
//	tls { ca_file: "ca.pem", verify_and_map: true }
//	authorization { users = [ { user = "spiffe://acme/ns/prod/sa/orders" } ] }
package natsconf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// Options are the flags of the format.
type Options struct {
	// ShortNames names a user by the common name of its subject, the last segment of its URI, the
	// part of its address before @ or the first label of its host.
	ShortNames bool
	// SameCase says that no two names of the authority differ in upper and lower case alone.
	SameCase bool
}

// user is a user of the configuration.
type user struct {
	name  string // of the certificate, such as CN=alice,O=Acme
	value *value
	kind  string // of the mapping
	here  string // the name here before --rename
}

// Read reads a configuration, and the files that it includes.
func Read(in *importer.Import, name string, o Options) error {
	f := &files{in: in, main: name}
	root := &value{kind: '{'}
	if err := f.read(name, 0, root); err != nil {
		return err
	}
	if err := refuse(name, root); err != nil {
		return err
	}
	tls := root.get("tls")
	if v := tls.get("ca_file"); v != nil && v.kind == 't' {
		in.ReadAuthorities(name, "ca_file", []string{v.text})
	}
	t := &translation{in: in, options: o, byName: map[string]*user{}, taken: map[string]int{}, carried: map[string]bool{}}
	if v := tls.get("pinned_certs"); v != nil {
		t.left = in.Line(place(v), "pinned_certs").Limit("only the certificates of the list are let in there", "remove the list, and the users whose certificates it has not")
	}
	lists := []*value{root.get("authorization").get("users")}
	if accounts := root.get("accounts"); accounts != nil {
		for _, a := range accounts.all {
			lists = append(lists, a.get("users"))
		}
	}
	for _, list := range lists {
		if list == nil {
			continue
		}
		for _, v := range list.all {
			if err := t.add(v); err != nil {
				return err
			}
		}
	}
	in.Remark("subjects, permissions and accounts are not read: who may do what is yours to write into policy.csv")
	in.Remark("of a certificate with names of several users, the address decides there, then the host, the URI and the subject; here the URI, the host, the address and the subject. Those of --certs are compared")
	in.Remark("NATS finds a subject in another order of its attributes too; here the order counts")
	in.SourceUser = t.sourceUser
	t.carry()
	return nil
}

func place(v *value) importer.Place { return importer.Place{File: v.file, Line: v.line} }

// refuse returns an error for a configuration whose users are not found by certificates alone.
func refuse(file string, root *value) error {
	for i, key := range root.keys {
		switch strings.ToLower(key) {
		case "operator", "operators", "root", "roots", "root_operator", "root_operators", "trusted", "trusted_keys", "resolver":
			return &configerror.Error{File: root.all[i].file, Line: root.all[i].line, What: fmt.Sprintf("%s: in operator mode users are in JWTs, not in the configuration", escape.Printable(key, escape.Short)), Hint: "csv with the users' certificates"}
		}
	}
	if v := root.get("authorization").get("auth_callout"); v != nil {
		return &configerror.Error{File: v.file, Line: v.line, What: "auth_callout: a service decides who a client is, and not the configuration", Hint: "csv with the users' certificates"}
	}
	if !root.get("tls").get("verify_and_map").isTrue() {
		return &configerror.Error{File: file, What: "tls has no verify_and_map: true: users are not found by certificates", Hint: "the configuration of the server whose clients have certificates"}
	}
	return nil
}

// files reads files into one map.
type files struct {
	in     *importer.Import
	main   string
	count  int
	values int
}

func (f *files) read(name string, depth int, into *value) error {
	if f.count++; f.count > maxFiles || depth > maxDepth {
		return &configerror.Error{File: name, What: "too many files are included, or they include one another", Hint: "name the file that has the users"}
	}
	data, err := f.in.ReadFile(name)
	if err != nil {
		return err
	}
	p := &parser{file: name, text: string(data), line: 1, depth: depth, values: &f.values}
	p.include = func(file string, line int, included string, depth int, into *value) error {
		path, err := f.in.Inside(f.main, relative(f.main, file, included))
		if err != nil {
			f.in.Line(importer.Place{File: file, Line: line}, "include "+included).Limit("the file is not in the folder of the configuration, and may pin certificates", "copy it into the folder")
			return nil
		}
		return f.read(path, depth+1, into)
	}
	return p.readMap(into, true)
}

// relative returns the name of an included file from the folder of the main file.
func relative(main, file, included string) string {
	if filepath.IsAbs(included) {
		return included
	}
	out, err := filepath.Rel(filepath.Dir(main), filepath.Join(filepath.Dir(file), included))
	if err != nil {
		return included
	}
	return out
}

// translation writes mappings.
type translation struct {
	in      *importer.Import
	options Options
	users   []*user
	byName  map[string]*user
	taken   map[string]int  // users by their names here
	carried map[string]bool // names of certificates
	left    bool            // --narrow: what the list of pinned certificates limits is left out
}

// add adds a user of the configuration.
func (t *translation) add(v *value) error {
	name := v.get("user", "username")
	if v.kind != '{' || name == nil || v.get("nkey") != nil {
		t.in.Line(place(v), "a user without a name").Skip("the user is found by a key", "")
		return nil
	}
	l := t.in.Line(place(v), "user "+escape.Quote(name.text, escape.Short))
	switch {
	case name.kind != 't':
		l.Skip("its name is a variable", "write the name")
		return nil
	case t.byName[name.text] != nil:
		return &configerror.Error{File: v.file, Line: v.line, What: "the user " + escape.Quote(name.text, escape.Short) + " twice", Hint: "NATS does not start with it: remove one"}
	}
	u := &user{name: name.text, value: v, kind: kindOf(name.text)}
	t.byName[u.name] = u
	t.users = append(t.users, u)
	u.here = u.name
	if _, renamed := t.in.Rename(u.name); !renamed && t.options.ShortNames {
		u.here = shortName(u)
	}
	to, _ := t.in.Rename(u.here)
	t.taken[to]++
	return nil
}

// kindOf returns the kind of mapping of a name, by its shape.
func kindOf(name string) string {
	switch {
	case strings.Contains(name, "://"):
		return "uri"
	case strings.Contains(name, "="):
		return "subject"
	case strings.Contains(name, "@"):
		return "email"
	}
	return "dns"
}

// carry adds the mappings of all users.
func (t *translation) carry() {
	for _, u := range t.users {
		t.carryUser(u)
	}
	for _, c := range t.in.Certificates.All() {
		t.correct(c)
	}
}

// line returns the line of a user.
func (t *translation) line(u *user) *importer.Line {
	return t.in.Line(place(u.value), "user "+escape.Quote(u.name, escape.Short))
}

func (t *translation) carryUser(u *user) {
	l := t.line(u)
	to, _ := t.in.Rename(u.here)
	switch {
	case t.left:
		l.Skip("a list of certificates that is not carried limits it", "")
		return
	case u.value.get("allowed_connection_types") != nil:
		l.Skip("allowed_connection_types limits it", "import it, and limit its ports")
		return
	case u.value.get("proxy_required").isTrue():
		l.Skip("proxy_required limits it", "")
		return
	case t.taken[to] > 1:
		l.Skip("another user is "+escape.Quote(to, escape.Short)+" too", "--rename "+escape.Shell(u.name+"=NAME"))
		return
	}
	name, ok := l.User(u.here)
	if !ok {
		return
	}
	m := importer.Mapping{User: name, Kind: u.kind, Value: u.name}
	switch {
	case u.kind == "subject":
		subject, why := parseSubject(u.name)
		if why != "" {
			t.carryEach(l, u, name, why)
			return
		}
		m.Value = subject
	case (u.kind == "dns" || u.kind == "email") && !t.options.SameCase && strings.ContainsAny(u.name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"):
		t.carryEach(l, u, name, "the case of a host does not count here")
		return
	}
	if m.Issuer, ok = l.Issuer(t.certificateOf(u)); ok && l.Map(m) {
		t.carried[u.name] = true
	}
}

// carryEach carries the certificates at hand that NATS takes for a user.
func (t *translation) carryEach(l *importer.Line, u *user, name, why string) {
	n := 0
	for _, c := range t.in.Certificates.All() {
		if found, known := t.find(c); known && found == u && l.Map(c.Fingerprint(name)) {
			n++
		}
	}
	switch {
	case n > 0:
		l.Change(fmt.Sprintf("%s: only its certificates of --certs are written, %d", why, n))
	case u.kind == "subject":
		l.Skip(why, "--certs FOLDER with its certificate")
	default:
		l.Skip(why, "--same-case, if the authority issues no two names that differ in case alone; or --certs FOLDER with its certificate")
	}
}

// certificateOf returns a certificate at hand of a user, or nil.
func (t *translation) certificateOf(u *user) *importer.Certificate {
	i := slices.IndexFunc(t.in.Certificates.All(), func(c *importer.Certificate) bool { found, known := t.find(c); return known && found == u })
	if i < 0 {
		return nil
	}
	return t.in.Certificates.All()[i]
}

// correct adds a mapping of a certificate at hand whose names are those of several users: the kinds
// decide here in another order.
func (t *translation) correct(c *importer.Certificate) {
	found, known := t.find(c)
	names := t.names(c)
	if !known || found == nil || len(names) < 2 || t.left {
		return
	}
	l := t.line(found)
	if !t.carried[found.name] {
		m := c.Fingerprint(importer.NoUser)
		m.Disabled = true
		l.Map(m)
		return
	}
	if name, ok := l.User(found.here); ok {
		l.Map(c.Fingerprint(name))
	}
}
