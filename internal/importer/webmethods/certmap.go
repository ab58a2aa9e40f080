package webmethods

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

const (
	certMapQuery = "SELECT CERT_USER, CERT_USAGE, HEX(CERT_BYTES) FROM IS_CERTIFICATE_MAP"
	certMapHint  = "export the table with a first line that names the columns: " + certMapQuery
)

// readCertMap reads the table of certificate mappings.
func (s *instance) readCertMap() error {
	if s.options.CertMap == "" {
		return nil
	}
	rows, err := s.readTable(s.options.CertMap, certMapHint, "cert_user", "cert_bytes", "cert_usage")
	if err != nil {
		return err
	}
	if err := s.checkUsage(rows); err != nil {
		return err
	}
	users := map[string]*user{}
	for _, u := range s.users {
		users[u.name] = u
	}
	source := map[*importer.Certificate]string{}
	for _, row := range rows {
		if err := s.readMapping(row, users, source); err != nil {
			return err
		}
	}
	s.in.SourceUser = func(c *importer.Certificate) (string, bool) { return source[c], true }
	return nil
}

// checkUsage checks that the usage to carry is known: a certificate may be mapped for checking
// signatures alone, and must not log in then.
func (s *instance) checkUsage(rows []tableRow) error {
	counts, named := map[string]int{}, false
	for _, row := range rows {
		usage := row.cells["cert_usage"]
		counts[usage]++
		named = named || isSSL(usage)
	}
	if len(counts) == 0 || s.options.Usage == "" && named || counts[s.options.Usage] > 0 {
		return nil
	}
	var found []string
	for _, usage := range slices.Sorted(maps.Keys(counts)) {
		found = append(found, fmt.Sprintf("%s (lines: %d)", escape.Quote(usage, escape.Short), counts[usage]))
	}
	what := "which usage is SSL Authentication is not known. The table has " + strings.Join(found, ", ")
	if s.options.Usage != "" {
		what = fmt.Sprintf("--usage: no line has the usage %s. The table has %s", escape.Quote(s.options.Usage, escape.Short), strings.Join(found, ", "))
	}
	return &configerror.Error{File: s.options.CertMap, What: what, Hint: "--usage NUMBER: compare a line with the usage that Security > Certificates > Client Certificates of the Administrator shows"}
}

// isSSL reports whether a usage is given by its text.
func isSSL(usage string) bool { return strings.EqualFold(usage, "SSL Authentication") }

// readMapping adds the mapping of a row, or reports why not.
func (s *instance) readMapping(row tableRow, users map[string]*user, source map[*importer.Certificate]string) error {
	name, external := localName(row.cells["cert_user"])
	usage := row.cells["cert_usage"]
	l := s.in.Line(importer.Place{File: s.options.CertMap, Line: row.line}, fmt.Sprintf("CERT_USER=%s, CERT_USAGE=%s", row.cells["cert_user"], usage))
	if usage != s.options.Usage && (s.options.Usage != "" || !isSSL(usage)) {
		l.Carry("another usage than SSL authentication: the certificate logs no user in")
		return nil
	}
	cert, err := importer.ParseLeaf(row.cells["cert_bytes"])
	if err != nil {
		l.Skip("CERT_BYTES: "+err.Error(), certMapHint)
		return nil
	}
	leaf := s.in.Certificates.Add(s.options.CertMap, cert)
	if other, twice := source[leaf]; twice && other != name {
		return &configerror.Error{File: l.File, Line: l.Line, What: fmt.Sprintf("the certificate is mapped to two users: %s and %s", escape.Quote(other, escape.Short), escape.Quote(name, escape.Short)), Hint: "remove one of the two lines"}
	}
	source[leaf] = name
	u := users[name]
	if external || u == nil {
		if !s.options.ExternalUsers {
			l.Skip(escape.Quote(name, escape.Short)+" is not a user of users.cnf: deleted, or a user of LDAP or a central directory", "--external-users carries such users, if each still exists there")
			return nil
		}
		if len(s.groupsOf[name]) > 0 || len(s.groupsOf[row.cells["cert_user"]]) > 0 {
			l.Skip("a group of users.cnf names the user, who is not in that file: the groups are not known", "write the mapping and the groups by hand")
			return nil
		}
		here, ok := s.names.user(l, name)
		if !ok {
			return nil
		}
		l.Change("the user is not in users.cnf, and in no group here")
		u = &user{here: here, ok: true, enabled: true}
	}
	m := leaf.Fingerprint(u.here)
	m.Note = ""
	switch {
	case u.name == defaultUser:
		l.Skip("Default is the user of callers without a certificate", "map the certificate to a user of its own")
		return nil
	case !u.ok:
		l.Skip("the user "+escape.Quote(name, escape.Short)+" has no name here", "--rename "+escape.Shell(name+"=NAME"))
		return nil
	case !u.isActive():
		m.Disabled = true
	}
	l.Map(m)
	return nil
}
