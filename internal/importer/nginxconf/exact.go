package nginxconf

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// carryUsers carries the map that names the user, line by line.
func (t *translation) carryUsers(r *role) {
	for _, e := range r.block.exact {
		t.carryExact(r, e)
	}
	t.carryPatterns(r)
}

// carryExact carries an exact key. If it is not carried, a mapping refuses its certificate: a
// pattern could name it otherwise.
func (t *translation) carryExact(r *role, e *entry) {
	l := t.in.Line(e.place, e.text())
	user := t.userOf(r, e.value)
	name, ok := "", user != ""
	if e.key == "" {
		if ok {
			l.Skip("a request without a certificate has this user there", "client_cert: request and strict: false on the port make it the user Default")
		} else {
			l.Carry("a request without a certificate has no user")
		}
		return
	}
	switch {
	case user == "":
		l.Carry("no user")
	case !isLiteral(user):
		l.Skip("the value has a variable", "write the user's name")
		ok = false
	default:
		name, ok = l.User(user)
	}
	mappings, dead, why, hint := t.exactMappings(r, e, name)
	switch {
	case dead != "" && ok:
		l.Skip(dead, "correct the key, or remove the line")
	case dead != "":
	case why != "" && ok:
		l.Skip(why, hint)
	case why != "" && r.source.Kind == "subject" && len(r.block.patterns) > 0:
		l.Limit("the line comes before the patterns, and "+why, hint)
	case !ok && r.source.Kind == "subject":
		t.refuse(l, mappings, user == "")
	case ok:
		for _, m := range mappings {
			if t.isDenied(m) {
				l.Carry("another map refuses the certificate")
				continue
			}
			l.Map(m)
		}
	}
}

// exactMappings returns the mappings of an exact key. dead is why the key matches no certificate
// in nginx, why is why it is not carried.
func (t *translation) exactMappings(r *role, e *entry, user string) (out []importer.Mapping, dead, why, hint string) {
	k := t.keys[r.block.source]
	if k == nil {
		k = t.in.NewKeys(r.source)
		t.keys[r.block.source] = k
	}
	return k.Mappings(e.key, user)
}
