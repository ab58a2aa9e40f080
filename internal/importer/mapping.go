package importer

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

// Mapping is a line of users.yaml.
type Mapping struct {
	ID          string     // "": the format and the number of the line
	User        string     // of Line.User, or {user} in a pattern
	Kind, Value string     // such as subject and CN=alice,O=Acme
	Issuer      *Authority // of Line.Issuer; nil for a fingerprint and an spki
	Ports       []string
	NotBefore   string
	NotAfter    string
	Pattern     bool   // {user} in Value captures; without it such a value is not carried
	Disabled    bool   // refuses the certificate; User then only names the reason
	Note        string // a comment at the end of the line, such as the certificate's file
}

// NoUser is the user of mappings that refuse a certificate that has no user in the source, or
// for a user that is not carried. Without such a mapping a pattern could name the certificate.
const NoUser = "not-carried"

// mapping is a mapping with its source.
type mapping struct {
	Mapping
	line *Line
	text string // as a line of users.yaml
}

// Map adds a mapping. It reports one that does not load, by Limit if it refuses a certificate,
// and returns false.
func (l *Line) Map(m Mapping) bool {
	if m.ID == "" {
		m.ID = l.id()
	}
	for base, n := m.ID, 2; l.in.ids[m.ID]; n++ {
		m.ID = fmt.Sprintf("%s-%d", base, n)
	}
	fields := m.fields()
	e := useredit.CheckFields(fields)
	if !m.Pattern && e == nil && strings.Contains(m.Value, username.Variable) {
		e = &configerror.Error{What: username.Variable + " is a part of the name there, and a variable here", Hint: "map the certificate by its fingerprint"}
	}
	switch {
	case e == nil:
		l.in.ids[m.ID] = true
		l.in.mappings = append(l.in.mappings, &mapping{m, l, usersfile.Format("users.yaml", fields)})
		return true
	case m.Disabled:
		l.Limit("the line refuses a certificate, and "+e.What, e.Hint)
	default:
		l.Skip(e.What, e.Hint)
	}
	return false
}

// id returns the id of the mapping of a line.
func (l *Line) id() string {
	id := l.in.options.Format
	if l.order > 0 {
		base := filepath.Base(l.File)
		id += "-" + escape.FileName(strings.TrimSuffix(base, filepath.Ext(base)))
	}
	return fmt.Sprintf("%s-%d", id, l.Line)
}

func (m *Mapping) fields() []usersfile.Field {
	issuer := ""
	if m.Issuer != nil {
		issuer = m.Issuer.Name
	}
	out := useredit.Fields(m.ID, m.User, m.Kind, m.Value, issuer)
	if m.Ports != nil {
		out = append(out, usersfile.Field{Key: "ports", List: m.Ports})
	}
	for _, f := range []usersfile.Field{{Key: "not_before", Text: m.NotBefore}, {Key: "not_after", Text: m.NotAfter}} {
		if f.Text != "" {
			out = append(out, f)
		}
	}
	if m.Disabled {
		out = append(out, usersfile.Field{Key: "disabled", Text: "true", Bool: true})
	}
	return out
}

// FoldsHost reports whether a mapping is of a host or an address in which upper and lower case are
// alike here. It is wider than a source in which the case counts.
func (m *Mapping) FoldsHost() bool {
	host := m.Value
	switch m.Kind {
	case "email":
		host = host[strings.LastIndexByte(host, '@')+1:]
	case "dns":
	default:
		return false
	}
	return strings.ToLower(host) != strings.ToUpper(host)
}

// Why a mapping that FoldsHost is not carried, and what to do.
const (
	FoldsHostWhy  = "the case of a host does not count here"
	FoldsHostHint = "--same-case, if the authority issues no two names that differ in case alone; or --certs FOLDER with its certificate"
)

// Same reports whether two values of one kind are of the same certificates.
func (m *Mapping) Same(o Mapping) bool { return m.key() == o.key() }

// withoutColons takes the colons of digests away, and their algorithm.
var withoutColons = strings.NewReplacer(":", "", "sha256:", "")

// key returns what two mappings for the same certificates have in common.
func (m *Mapping) key() string {
	value := m.Value
	switch m.Kind {
	case "subject":
		if n, err := dn.Parse(value); err == nil {
			value = n.Key()
		}
	case "uri":
	default: // digests, serial numbers, host names and, with more matches than necessary, addresses
		value = strings.ToLower(withoutColons.Replace(value))
		if m.Kind == "serial" {
			value = strings.TrimLeft(strings.TrimPrefix(value, "0x"), "0")
		}
	}
	return m.Kind + "\x00" + value
}

// position returns the line for a message about another: with the file if that differs.
func (l *Line) position(from *Line) string {
	if l.File != from.File {
		return fmt.Sprintf("%s:%d", l.File, l.Line)
	}
	return fmt.Sprint(l.Line)
}

// loadUsers loads mappings as a server does.
func (in *Import) loadUsers(mappings []*mapping) (*certmap.Table, error) {
	return certmap.Load("users.yaml", strings.NewReader(in.usersText(mappings)), certmap.WithIssuers(in.issuerKey))
}
