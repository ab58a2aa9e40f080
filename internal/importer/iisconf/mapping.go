package iisconf

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// carryMappings adds the one-to-one mappings of a section. <clear /> takes those before it away.
func (t *translation) carryMappings(section *element) error {
	var all []*element
	for _, list := range section.children {
		if list.name != "onetoonemappings" {
			continue
		}
		for _, e := range list.children {
			switch e.name {
			case "add":
				all = append(all, e)
			case "clear":
				for _, gone := range all {
					t.in.Line(t.place(gone), "one-to-one mapping of "+escape.Quote(gone.attributes["username"], escape.Short)).Carry("taken away by <clear /> after it: no mapping")
				}
				all = nil
			}
		}
	}
	for _, e := range all { // enabled or not: a disabled one may become enabled
		if to, known := t.in.Rename(e.attributes["username"]); !known {
			t.accounts[t.userName(to)] = append(t.accounts[t.userName(to)], strings.ToLower(e.attributes["username"]))
		}
	}
	for _, e := range all {
		if err := t.carryOne(e); err != nil {
			return err
		}
	}
	return nil
}

// carryOne adds a one-to-one mapping.
func (t *translation) carryOne(e *element) error {
	name := e.attributes["username"]
	l := t.in.Line(t.place(e), "one-to-one mapping of "+escape.Quote(name, escape.Short))
	enabled, err := e.bool(t.file, "enabled", true)
	if err != nil {
		return err
	}
	cert, err := importer.ParseLeaf(e.attributes["certificate"])
	if err != nil {
		l.Skip("certificate: "+err.Error(), "the certificate in base64, without the lines of PEM")
		return nil
	}
	c := t.in.Certificates.Add(t.file, cert)
	key := c.SHA1()
	switch {
	case !enabled:
		l.Carry("disabled there: no mapping")
		return nil
	case t.seen[key]:
		l.Skip("an earlier line has the same certificate", "remove one of the two lines")
		return nil
	}
	t.seen[key] = true
	t.users[c] = name
	if key := e.unknown("enabled", "username", "password", "certificate"); key != "" {
		l.Skip("what the attribute "+escape.Quote(key, escape.Short)+" means is not known", "remove it in a copy of the file, if it limits nothing")
		return nil
	}
	if t.left {
		l.Skip("a denial that is not carried may refuse the certificate", "")
		return nil
	}
	user, ok := l.User(t.userName(name))
	if !ok {
		return nil
	}
	for _, other := range t.accounts[t.userName(name)] {
		if other != strings.ToLower(name) {
			l.Skip("the account "+escape.Quote(other, escape.Short)+" is "+escape.Quote(user, escape.Short)+" without its domain too, and may be another person", "--rename "+escape.Shell(name+"=NAME"))
			return nil
		}
	}
	m := c.Fingerprint(user)
	m.Note = ""
	l.Map(m)
	return nil
}

// userName returns a Windows account, without its domain if a flag says so. A name that --rename
// has stays as it is.
func (t *translation) userName(name string) string {
	if _, renamed := t.in.Rename(name); renamed || !t.options.StripDomain {
		return name
	}
	if i := strings.LastIndexByte(name, '\\'); i >= 0 {
		return name[i+1:]
	}
	name, _, _ = strings.Cut(name, "@")
	return name
}
