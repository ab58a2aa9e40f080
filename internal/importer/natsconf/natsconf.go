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
	// SameCase declares that no two names of the authority differ in upper and lower case alone.
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
	t := &translation{in: in, options: o, byName: map[string]*user{}, taken: map[string]int{}, carried: map[string]bool{}, verdicts: map[*importer.Certificate]verdict{}, found: map[*user][]*importer.Certificate{}}
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
	in.Remark("subjects, permissions and accounts are not read: write the rules for the users into policy.csv")
	in.Remark("of a certificate with names of several users, the address decides there, then the host, the URI and the subject; here the URI, the host, the address and the subject. Those of --certs are compared")
	in.Remark("NATS finds a subject in another order of its attributes too; here the order counts")
	if slices.ContainsFunc(t.users, func(u *user) bool { return u.kind == "dns" }) {
		in.Remark("NATS gives a certificate whose only names are hosts no user; here its host counts, but for those of --certs")
	}
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

	subjects   map[string][]*user // of those with a subject, by subjectKey
	oddSubject *bool
	verdicts   map[*importer.Certificate]verdict
	found      map[*user][]*importer.Certificate

	left bool // --narrow: what the list of pinned certificates limits is left out
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

// harmless are the keys of a user that do not decide whether its certificate lets it in.
var harmless = []string{"user", "username", "permission", "permissions", "authorization", "account"}

// limit returns a key of a user that may keep its certificate from letting it in, or "".
func (u *user) limit() string {
	for i, key := range u.value.keys {
		v := u.value.all[i]
		switch name := strings.ToLower(key); {
		case slices.Contains(harmless, name):
		case (name == "pass" || name == "password") && v.kind == 't' && v.text == "":
		case name == "proxy_required" && v.isFalse():
		default:
			return key
		}
	}
	return ""
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
