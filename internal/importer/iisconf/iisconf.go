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
	"slices"
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
	section, around, err := choose(name, root, o.Location)
	if err != nil {
		return err
	}
	section.inherit(around)
	for _, outer := range around {
		if len(outer.children) > 0 {
			in.Remark(fmt.Sprintf("the mappings of the location %s count for this one too, and are not carried", escape.Quote(outer.location, escape.Short)))
		}
	}
	t := &translation{in: in, file: name, options: o, users: map[*importer.Certificate]string{}, seen: map[string]bool{}, accounts: map[string][]string{}}
	t.readAccess(root, section)
	in.Remark("rights of Windows accounts, authorization rules and the certificate trust lists of http.sys are not read: write the rules for the users into policy.csv")
	in.SourceUser = t.sourceUser
	return t.carry(section, around)
}

// translation writes mappings.
type translation struct {
	in      *importer.Import
	file    string
	options Options
	users   map[*importer.Certificate]string // of the source; "" for one that is not known
	seen    map[string]bool                  // certificates
	unknown bool                             // rules may name other certificates
	left    bool                             // --narrow: what a denial limits that is not carried is left out

	accounts map[string][]string // of the source in lower case, by the user here, without those of --rename
}

// carry adds the mappings of a section.
func (t *translation) carry(section *element, around []*element) error {
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
		return &configerror.Error{File: t.file, Line: section.line, What: "one-to-one mappings are not enabled: IIS gives no certificate a user", Hint: `enabled="true" and oneToOneCertificateMappingsEnabled="true", if they are meant to be; or --location of the site that enables them`}
	}
	for _, one := range append(around, section) {
		if err := t.readDenials(one, many); err != nil {
			return err
		}
	}
	return t.carryMappings(section)
}

// readDenials reads what may take away from the mappings: of the section, and of those around it.
func (t *translation) readDenials(section *element, many bool) error {
	for _, e := range append(slices.Clone(section.children), section) {
		for _, key := range []string{"configsource", "childsource"} {
			if file := e.attributes[key]; file != "" {
				t.left = t.in.Line(t.place(e), "<"+e.name+" "+key+">").Limit("a part of the section is in "+escape.Quote(file, escape.Short)+", and may refuse certificates", "write it into the file") || t.left
			}
		}
	}
	for _, list := range section.children {
		for _, e := range list.children {
			switch {
			case list.name == "manytoonemappings" && e.name == "add" && many:
				denied, err := t.reportRule(e)
				if err != nil {
					return err
				}
				t.left = t.left || denied
			case (list.name == "manytoonemappings" || list.name == "onetoonemappings") && e.name != "add" && e.name != "clear":
				t.left = t.in.Line(t.place(e), "<"+e.name+">").Limit("the element may take a mapping away", "remove it and the mapping") || t.left
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
