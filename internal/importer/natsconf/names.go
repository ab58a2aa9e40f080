package natsconf

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// shortName returns the name of a user in short.
func shortName(u *user) string {
	switch u.kind {
	case "uri":
		return u.name[strings.LastIndexByte(u.name, '/')+1:]
	case "email":
		name, _, _ := strings.Cut(u.name, "@")
		return name
	case "dns":
		name, _, _ := strings.Cut(u.name, ".")
		return name
	}
	name, err := dn.Parse(u.name)
	if err != nil {
		return u.name
	}
	out := ""
	for _, set := range name.RDNs() {
		for _, a := range set {
			if a.OID == "\x55\x04\x03" { // the common name
				if out != "" {
					return u.name
				}
				out = a.Value
			}
		}
	}
	return out
}

// parseSubject reads a subject. One that NATS could read otherwise is not read.
func parseSubject(text string) (subject, why string) {
	if strings.ContainsAny(text, `\"#+;<>`) {
		return "", "NATS reads escapes and sets of attributes otherwise"
	}
	name, err := dn.Parse(text)
	if err != nil {
		return "", err.Error()
	}
	return name.String(), ""
}

// subjectKey returns a text that two subjects have in common which NATS takes for the same: in any
// order of their attributes. Those with escapes are the same in one order alone.
func subjectKey(name dn.Name) string {
	text := name.String()
	if strings.Contains(text, `\`) {
		return `\` + name.Key()
	}
	parts := strings.Split(text, ",")
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// bySubject returns the users with the subject of a certificate, in their order.
func (t *translation) bySubject(c *x509.Certificate) []*user {
	if t.subjects == nil {
		t.subjects = map[string][]*user{}
		for _, u := range t.users {
			if name, err := dn.Parse(u.name); err == nil && u.kind == "subject" {
				t.subjects[subjectKey(name)] = append(t.subjects[subjectKey(name)], u)
			}
		}
	}
	name, err := dn.FromDER(c.RawSubject)
	if err != nil {
		return nil
	}
	return t.subjects[subjectKey(name)]
}

// names returns the users of the names of a certificate, in the order in which NATS looks for them.
func (t *translation) names(c *importer.Certificate) (out []*user) {
	add := func(name string) {
		if u := t.byName[name]; u != nil && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	for _, name := range c.Cert.EmailAddresses {
		add(name)
	}
	for _, name := range c.Cert.DNSNames {
		add(name)
	}
	for _, u := range c.Cert.URIs {
		add(u.String())
	}
	for _, u := range t.bySubject(c.Cert) {
		add(u.name)
	}
	add(c.Cert.Subject.ToRDNSequence().String()) // which has one of several common names
	return out
}

// hostsAlone reports whether NATS looks at no name of a certificate: it has neither an address nor a
// subject nor a URI.
func hostsAlone(c *x509.Certificate) bool {
	return len(c.EmailAddresses) == 0 && len(c.URIs) == 0 && c.Subject.String() == ""
}

// find returns the user that NATS takes a certificate for, nil for none. It returns false if that is
// not known.
func (t *translation) find(c *importer.Certificate) (found *user, known bool) {
	v, ok := t.verdicts[c]
	if !ok {
		v.user, v.known = t.decide(c)
		t.verdicts[c] = v
		if v.user != nil {
			t.found[v.user] = append(t.found[v.user], c)
		}
	}
	return v.user, v.known
}

// certificatesOf returns the certificates at hand that NATS takes for a user.
func (t *translation) certificatesOf(u *user) []*importer.Certificate {
	if len(t.verdicts) == 0 {
		for _, c := range t.in.Certificates.All() {
			t.find(c)
		}
	}
	return t.found[u]
}

// verdict is whom NATS takes a certificate for.
type verdict struct {
	user  *user
	known bool
}

func (t *translation) decide(c *importer.Certificate) (found *user, known bool) {
	if !t.in.IssuedUnder(c) {
		return nil, true
	}
	if hostsAlone(c.Cert) {
		return nil, true
	}
	if all := t.names(c); len(all) > 0 {
		return all[0], true
	}
	if _, err := dn.FromDER(c.Cert.RawSubject); err != nil {
		return nil, false
	}
	return nil, !t.hasOddSubject()
}

// hasOddSubject reports whether NATS could read the subject of a user otherwise.
func (t *translation) hasOddSubject() bool {
	if t.oddSubject == nil {
		odd := slices.ContainsFunc(t.users, func(u *user) bool {
			_, why := parseSubject(u.name)
			return u.kind == "subject" && why != ""
		})
		t.oddSubject = &odd
	}
	return *t.oddSubject
}

// sourceUser is Import.SourceUser.
func (t *translation) sourceUser(c *importer.Certificate) (string, bool) {
	u, known := t.find(c)
	if u == nil {
		return "", known
	}
	return u.here, known
}
