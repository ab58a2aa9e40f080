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

// sameSubject reports whether a text is the subject of a certificate for NATS: in any order of its
// attributes.
func sameSubject(c *x509.Certificate, text string) bool {
	cert, err := dn.FromDER(c.RawSubject)
	if err != nil {
		return false
	}
	name, err := dn.Parse(text)
	if err != nil {
		return false
	}
	if cert == name {
		return true
	}
	a, b := strings.Split(cert.String(), ","), strings.Split(name.String(), ",")
	if len(a) != len(b) || strings.Contains(cert.String()+name.String(), `\`) {
		return false
	}
	count := map[string]int{}
	for i := range a {
		count[a[i]]++
		count[b[i]]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
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
	for _, u := range t.users {
		if u.kind == "subject" && sameSubject(c.Cert, u.name) {
			add(u.name)
		}
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
	for _, u := range t.users {
		if u.kind == "subject" {
			if _, why := parseSubject(u.name); why != "" {
				return nil, false
			}
		}
	}
	return nil, true
}

// sourceUser is Import.SourceUser.
func (t *translation) sourceUser(c *importer.Certificate) (string, bool) {
	u, known := t.find(c)
	if u == nil {
		return "", known
	}
	return u.here, known
}
