package nginxconf

import (
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/regex"
)

// translation writes the maps as mappings.
type translation struct {
	in       *importer.Import
	roles    []role
	options  Options
	exact    map[*mapBlock]map[string]*entry
	patterns map[*entry]*regex.Pattern
	keys     map[string]*importer.Keys // by variable
	verdicts map[*importer.Certificate]verdict
	denied   []importer.Mapping
	noUser   []refusedName
}

// user returns the role that names the user.
func (t *translation) user() *role {
	i := slices.IndexFunc(t.roles, func(r role) bool { return r.isUser(t.options) })
	return &t.roles[i]
}

// conditions returns the other roles.
func (t *translation) conditions() (out []*role) {
	for i := range t.roles {
		if r := &t.roles[i]; !r.isUser(t.options) {
			out = append(out, r)
		}
	}
	return out
}

// precedence is the order in which the kinds of mappings are tried here.
var precedence = map[string]int{"fingerprint": 1, "serial": 2, "subject": 3}

// carry adds the mappings. The maps are carried line by line if that has the same meaning. If
// not, the certificates at hand are carried one by one.
func (t *translation) carry() {
	t.exact, t.patterns, t.keys = map[*mapBlock]map[string]*entry{}, map[*entry]*regex.Pattern{}, map[string]*importer.Keys{}
	t.verdicts = map[*importer.Certificate]verdict{}
	for i := range t.roles {
		t.carryRest(&t.roles[i])
	}
	why := ""
	for _, r := range t.conditions() {
		switch {
		case !r.passes(r.block.defaultValue()):
			why = r.block.name + " lets only the certificates in that it lists"
		case precedence[r.source.Kind] > precedence[t.user().source.Kind]:
			why = fmt.Sprintf("%s refuses by %s, which comes after the %s here", r.block.name, r.source.Kind, t.user().source.Kind)
		case !t.carryDenials(r):
			why = r.block.name + " refuses by more than exact keys"
		}
	}
	if why != "" {
		t.carryAtHand(why)
		return
	}
	t.carryUsers(t.user())
}

func (m *mapBlock) defaultValue() string {
	if m.otherwise == nil {
		return ""
	}
	return m.otherwise.value
}

// carryRest reports what a map has beside its keys.
func (t *translation) carryRest(r *role) {
	for i, at := range r.block.missing {
		t.in.Line(at, "include "+r.block.missingByName[i]+";").Limit("the file is not in the folder of the configuration, and its lines may refuse certificates", "copy the file into the folder, and name it in the include")
	}
	if r.block.hostnames {
		t.in.Line(r.block.place, "hostnames;").Limit("keys with wildcards for host names are not read", "remove hostnames from the map")
	}
	e := r.block.otherwise
	if e == nil {
		return
	}
	l := t.in.Line(e.place, "default "+e.value+";")
	switch user := t.userOf(r, e.value); {
	case !r.isUser(t.options):
		l.Carry("the condition of --map")
	case user == "":
		l.Carry("an unmapped certificate is refused")
	default:
		l.Skip("every certificate without a line is this user there", fmt.Sprintf("unmapped: %s on the port, if that is meant", escape.Printable(user, escape.Short)))
	}
}

// userOf returns the user of a value of the map that names the user, "" for no user.
func (t *translation) userOf(r *role, value string) string {
	switch {
	case !r.passes(value):
		return ""
	case r.what == "allow":
		return t.options.User
	}
	return value
}

// carryAtHand carries the certificates at hand that nginx would let in, one by one.
func (t *translation) carryAtHand(why string) {
	done := map[*entry]bool{}
	t.carryEach(func(e *entry) bool { return true }, done)
	for i := range t.roles {
		r := &t.roles[i]
		for _, e := range append(slices.Clone(r.block.exact), r.block.patterns...) {
			l := t.in.Line(e.place, e.text())
			switch {
			case !r.isUser(t.options):
				l.Carry("a condition of the certificates of --certs")
			case done[e]:
				l.Change("only the certificates of --certs: " + why)
			case t.userOf(r, e.value) == "":
				l.Carry("no user: no mapping")
			default:
				l.Skip("no certificate of --certs is let in by this line; "+why, "--certs FOLDER with the certificates")
			}
		}
	}
}

// carryEach adds a mapping for each certificate at hand of which nginx takes the user from one of
// some lines. It notes these lines in done.
func (t *translation) carryEach(of func(*entry) bool, done map[*entry]bool) {
	for _, c := range t.in.Certificates.All() {
		user, by, known := t.certificateUser(c)
		if !known || user == "" || by == nil || !of(by) {
			continue
		}
		l := t.in.Line(by.place, by.text())
		if name, ok := l.User(user); ok && l.Map(c.Fingerprint(name)) {
			done[by] = true
		}
	}
}

// carryDenials adds mappings that refuse the certificates which a condition refuses. It returns
// false if a denial is not carried.
func (t *translation) carryDenials(r *role) bool {
	ok := len(r.block.missing) == 0 && !r.block.hostnames
	for _, e := range r.block.exact {
		l := t.in.Line(e.place, e.text())
		if r.passes(e.value) {
			l.Carry("let in, as all others")
			continue
		}
		if e.key == "" {
			l.Carry("no certificate: client_cert: require on the port, or strict: true")
			continue
		}
		mappings, dead, why, hint := t.exactMappings(r, e, importer.NoUser)
		if dead != "" {
			l.Carry("no user: " + dead)
			continue
		}
		if why != "" {
			l.Limit("the line refuses a certificate, and "+why, hint)
			ok = false
		}
		t.refuse(l, mappings, true)
		t.denied = append(t.denied, mappings...)
	}
	for _, e := range r.block.patterns {
		ok = false
		l := t.in.Line(e.place, e.text())
		if r.passes(e.value) {
			l.Limit("a pattern lets certificates in before later patterns refuse them", "write the certificates that are refused as exact keys")
			continue
		}
		l.Limit("a pattern that refuses certificates has no counterpart here", "write the certificates that are refused as exact keys")
	}
	return ok
}

// refusedName is a subject without a user in nginx, in upper and lower case alike.
type refusedName struct {
	line *importer.Line
	name dn.Name
}

// refuse adds mappings that refuse certificates. With noUser, nginx refuses them too.
func (t *translation) refuse(l *importer.Line, mappings []importer.Mapping, noUser bool) {
	for _, m := range mappings {
		m.User, m.Disabled = importer.NoUser, true
		l.Map(m)
		if name, err := dn.Parse(m.Value); err == nil && m.Kind == "subject" && noUser {
			t.noUser = append(t.noUser, refusedName{l, name})
		}
	}
}

// isDenied reports whether another map refuses the certificates of a mapping. The case of a
// subject does not count there.
func (t *translation) isDenied(m importer.Mapping) bool {
	return slices.ContainsFunc(t.denied, func(d importer.Mapping) bool {
		if d.Kind != "subject" || m.Kind != "subject" {
			return d.Same(m)
		}
		a, errA := dn.Parse(d.Value)
		b, errB := dn.Parse(m.Value)
		if errA != nil || errB != nil {
			return true // fail closed
		}
		_, same := captureFold(a, b)
		return same || a == b
	})
}
