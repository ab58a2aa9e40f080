package kongyaml

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// carryConsumers writes the groups and the mappings of all consumers.
func (i *importing) carryConsumers() {
	users := map[string]*consumer{}
	for _, one := range i.consumers {
		one.line = i.Line(one.at, "consumer "+one.name())
		user, ok := one.line.User(one.name())
		if !ok {
			continue
		}
		if other := users[user]; other != nil {
			for _, pair := range [][2]*consumer{{one, other}, {other, one}} {
				pair[0].line.Skip(fmt.Sprintf("the consumers %q and %q would be one user, with the groups of both", pair[0].name(), pair[1].name()), "--rename with two names")
				pair[0].user = ""
			}
			continue
		}
		users[user], one.user = one, user
	}
	for _, one := range i.consumers {
		if one.user != "" {
			i.carryMembers(one)
		}
	}
	i.carryNames()
}

func (i *importing) carryMembers(one *consumer) {
	if one.refused != "" {
		one.line.Skip(fmt.Sprintf("the plugin %s may refuse the consumer: its mappings are disabled, and it has no groups", one.refused), "take disabled away, and add the groups, if the consumer may call")
		return
	}
	for _, m := range one.members {
		l := i.Line(m.at, fmt.Sprintf("group %s of consumer %s", m.group, one.name()))
		if group, ok := i.group(l, m.group); ok {
			l.Member("user:"+one.user, "group:"+group)
		}
	}
}

// class returns a text that consumers of the same groups have in common.
func (c *consumer) class() string {
	var groups []string
	for _, m := range c.members {
		groups = append(groups, m.group)
	}
	slices.Sort(groups)
	return strings.Join(slices.Compact(groups), "\x00")
}

// carryAuthorities reads the certificates of the authorities.
func (i *importing) carryAuthorities() {
	for _, a := range i.authorities {
		l := i.Line(a.at, "ca_certificate "+a.id)
		all, err := importer.ParseCertificates(a.text)
		switch {
		case isUnresolved(a.text):
			l.Skip("the certificate is not in the file", "write it into the file")
		case err != nil:
			l.Skip("the certificate cannot be read: "+err.Error(), "export it again")
		case len(all) != 1 || !all[0].IsCA:
			l.Skip("it is not the certificate of one authority", "export it again")
		default:
			a.Authority = i.AddAuthority("kong-ca-"+a.id[:min(len(a.id), 8)], all[0])
			l.Carry("authority: " + a.Name)
		}
	}
}

// authority returns the authority with an id, or nil. A credential may have its certificate in
// place of the id.
func (i *importing) authority(id string) *importer.Authority {
	certificate := ""
	if strings.Contains(id, "-----BEGIN") {
		certificate = strings.Join(strings.Fields(id), " ")
	}
	for _, a := range i.authorities {
		if a.Authority != nil && (a.id == id || certificate != "" && certificate == strings.Join(strings.Fields(a.text), " ")) {
			return a.Authority
		}
	}
	return nil
}

// trusted returns the authorities of a route; those of --issuer if the files have none at all.
func (i *importing) trusted(m *mtlsAuth) (out []*importer.Authority) {
	if len(i.authorities) == 0 {
		return i.issuers
	}
	for _, id := range m.authorities {
		if a := i.authority(id); a != nil {
			out = append(out, a)
		}
	}
	return out
}

func (i *importing) everyAuthority() (out []*importer.Authority) {
	for _, a := range i.authorities {
		if a.Authority != nil {
			out = append(out, a.Authority)
		}
	}
	return out
}

// isBelowAnother reports whether another authority of the files issued this one.
func (i *importing) isBelowAnother(a *importer.Authority) bool {
	return slices.ContainsFunc(i.everyAuthority(), func(o *importer.Authority) bool { return o != a && a.Cert.CheckSignatureFrom(o.Cert) == nil })
}
