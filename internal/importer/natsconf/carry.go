package natsconf

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

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
	case u.limit() != "":
		l.Skip(escape.Printable(u.limit(), escape.Short)+" limits it, or is not known", "carry the user by hand, if its certificate alone lets it in")
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
	case m.FoldsHost() && !t.options.SameCase:
		t.carryEach(l, u, name, importer.FoldsHostWhy)
		return
	}
	if m.Issuer, ok = l.Issuer(t.certificateOf(u)); ok && l.Map(m) {
		t.carried[u.name] = true
	}
}

// carryEach carries the certificates at hand that NATS takes for a user.
func (t *translation) carryEach(l *importer.Line, u *user, name, why string) {
	n := 0
	for _, c := range t.certificatesOf(u) {
		if l.Map(c.Fingerprint(name)) {
			n++
		}
	}
	switch {
	case n > 0:
		l.Change(fmt.Sprintf("%s: only its certificates of --certs are written, %d", why, n))
	case u.kind == "subject":
		l.Skip(why, "--certs FOLDER with its certificate")
	default:
		l.Skip(why, importer.FoldsHostHint)
	}
}

// certificateOf returns a certificate at hand of a user, or nil.
func (t *translation) certificateOf(u *user) *importer.Certificate {
	if all := t.certificatesOf(u); len(all) > 0 {
		return all[0]
	}
	return nil
}

// correct adds a mapping of a certificate at hand whose names are those of several users: the kinds
// decide here in another order. It refuses a certificate whose only names are hosts.
func (t *translation) correct(c *importer.Certificate) {
	found, known := t.find(c)
	names := t.names(c)
	if found == nil && known && t.in.IssuedUnder(c) && len(names) > 0 && !t.left {
		m := c.Fingerprint(importer.NoUser)
		m.Disabled = true
		t.line(names[0]).Map(m)
	}
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
