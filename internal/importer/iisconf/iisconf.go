// Package iisconf imports the one-to-one client certificate mappings of IIS, from
// applicationHost.config or web.config.
//
//	<iisClientCertificateMappingAuthentication enabled="true">
//	  <oneToOneMappings>
//	    <add userName="CONTOSO\alice" password="[enc:…]" certificate="MIIB…" />
//	  </oneToOneMappings>
//	</iisClientCertificateMappingAuthentication>
package iisconf

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// Options are the flags of the format.
type Options struct {
	Location    string // the path of the location element to read; "": the only one that has mappings
	StripDomain bool   // CONTOSO\alice and alice@contoso.example are alice
}

const sectionName = "iisclientcertificatemappingauthentication"

// Read reads a file.
func Read(in *importer.Import, name string, o Options) error {
	data, err := in.ReadFile(name)
	if err != nil {
		return err
	}
	root, err := parse(name, data)
	if err != nil {
		return err
	}
	section, err := choose(name, root, o.Location)
	if err != nil {
		return err
	}
	t := &translation{in: in, file: name, options: o, users: map[*importer.Certificate]string{}, seen: map[string]bool{}}
	t.readAccess(root, section)
	in.Remark("rights of Windows accounts, authorization rules and the certificate trust lists of http.sys are not read: who may do what is yours to write into policy.csv")
	in.SourceUser = t.sourceUser
	return t.carry(section)
}

// choose returns the section to read.
func choose(file string, root *element, location string) (*element, error) {
	var found []*element
	var names []string
	root.each(func(e *element) {
		if e.name == sectionName {
			if location == "" || strings.EqualFold(location, e.location) {
				found = append(found, e)
			}
			names = append(names, escape.Quote(e.location, escape.Short))
		}
	})
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(names) == 0:
		return nil, &configerror.Error{File: file, What: "the file has no iisClientCertificateMappingAuthentication", Hint: "applicationHost.config, or the web.config of the site; export one with appcmd list config"}
	case len(found) == 0:
		return nil, &configerror.Error{File: file, What: "--location: no location has the path " + escape.Quote(location, escape.Short), Hint: "the locations are " + escape.Printable(strings.Join(names, ", "), 1000)}
	}
	return nil, &configerror.Error{File: file, What: "several locations have mappings: " + escape.Printable(strings.Join(names, ", "), 1000), Hint: "--location PATH, for one at a time"}
}

// translation writes mappings.
type translation struct {
	in      *importer.Import
	file    string
	options Options
	users   map[*importer.Certificate]string // of the source; "" for one that is not known
	seen    map[string]bool                  // certificates
	unknown bool                             // rules may name other certificates
}

// carry adds the mappings of a section.
func (t *translation) carry(section *element) error {
	enabled, err := section.bool(t.file, "enabled", false)
	if err != nil {
		return err
	}
	one, err := section.bool(t.file, "onetoonecertificatemappingsenabled", true)
	if err != nil {
		return err
	}
	many, err := section.bool(t.file, "manytoonecertificatemappingsenabled", true)
	switch {
	case err != nil:
		return err
	case !enabled || !one:
		return &configerror.Error{File: t.file, Line: section.line, What: "one-to-one mappings are not enabled: IIS takes every certificate for nobody", Hint: `enabled="true" and oneToOneCertificateMappingsEnabled="true", if they are meant to be; or --location of the site that enables them`}
	}
	left := false
	for _, list := range section.children {
		for _, e := range list.children {
			switch {
			case list.name == "manytoonemappings" && e.name == "add" && many:
				denied, err := t.reportRule(e)
				if err != nil {
					return err
				}
				left = left || denied
			case (list.name == "manytoonemappings" || list.name == "onetoonemappings") && e.name != "add" && e.name != "clear":
				t.in.Line(t.place(e), "<"+e.name+">").Limit("the element may take a mapping away", "remove it and the mapping")
				left = true
			}
		}
	}
	for _, list := range section.children {
		for _, e := range list.children {
			if list.name != "onetoonemappings" || e.name != "add" {
				continue
			}
			if err := t.carryOne(e, left); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *translation) place(e *element) importer.Place {
	return importer.Place{File: t.file, Line: e.line}
}

// reportRule reports a many-to-one mapping. It returns true if it may refuse certificates that
// --narrow leaves out.
func (t *translation) reportRule(e *element) (bool, error) {
	enabled, err := e.bool(t.file, "enabled", true)
	if err != nil {
		return false, err
	}
	l := t.in.Line(t.place(e), fmt.Sprintf("many-to-one mapping %s of %s", escape.Quote(e.attributes["name"], escape.Short), escape.Quote(e.attributes["username"], escape.Short)))
	if !enabled {
		l.Carry("disabled there")
		return false, nil
	}
	t.unknown = true
	if mode := e.attributes["permissionmode"]; mode != "" && !strings.EqualFold(mode, "Allow") {
		return l.Limit("the rule refuses certificates by parts of their names, and may refuse those of one-to-one mappings", "remove the rule, and the mappings that it refuses"), nil
	}
	l.Skip("a rule names certificates by parts of their names, with wildcards", "subject or uri with {user} in users.yaml, if the authority's names have one shape")
	return false, nil
}

// carryOne adds a one-to-one mapping.
func (t *translation) carryOne(e *element, left bool) error {
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
	if left {
		l.Skip("a denial that is not carried may refuse the certificate", "")
		return nil
	}
	user, ok := l.User(t.userName(name))
	if !ok {
		return nil
	}
	m := c.Fingerprint(user)
	m.Note = ""
	l.Map(m)
	return nil
}

// userName returns a Windows account without its domain, if the command line says so. A name that
// --rename has stays as it is.
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

// sourceUser is Import.SourceUser.
func (t *translation) sourceUser(c *importer.Certificate) (string, bool) {
	user, ok := t.users[c]
	return t.userName(user), ok || !t.unknown
}

// readAccess reports whether IIS requests certificates.
func (t *translation) readAccess(root, section *element) {
	flags, found := "", false
	root.each(func(e *element) {
		if e.name == "access" && e.parent == "security" && (e.location == section.location || e.location == "" && !found) {
			flags, found = strings.ToLower(e.attributes["sslflags"]), true
		}
	})
	switch {
	case strings.Contains(flags, "sslrequirecert"):
		t.in.Remark("sslFlags has SslRequireCert: client_cert: require on the port")
	case strings.Contains(flags, "sslnegotiatecert"):
		t.in.Remark("sslFlags has SslNegotiateCert without SslRequireCert: client_cert: request on the port")
	case found:
		t.in.Remark("sslFlags has neither SslNegotiateCert nor SslRequireCert: IIS requests no certificate there")
	}
}
