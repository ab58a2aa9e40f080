package csvfile

import (
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// row is a line of a table.
type row struct {
	*table
	cells map[string]string // by column, without the empty ones
	line  *importer.Line

	disabled bool
	leaf     *importer.Certificate // nil if it is not at hand
}

// skip reports that the row is not carried. A row that disables a certificate cannot be left
// out: another row may let the certificate in.
func (r *row) skip(why, hint string) {
	if r.disabled {
		r.line.Limit("the line is disabled, and "+why, hint)
		return
	}
	r.line.Skip(why, hint)
}

// read adds the mapping of the row, or reports why not.
func (r *row) read() {
	switch text := strings.ToLower(r.cells["disabled"]); text {
	case "true", "yes", "1", "x":
		r.disabled = true
	case "", "false", "no", "0":
	default:
		r.disabled = true // perhaps
		r.skip(fmt.Sprintf("disabled: %s is neither true nor false", escape.Quote(text, escape.Short)), "write true or false")
		return
	}
	m := importer.Mapping{ID: r.cells["id"], NotBefore: r.cells["not_before"], NotAfter: r.cells["not_after"], Disabled: r.disabled}
	if len(m.NotAfter) == len("2026-12-31") {
		r.in.Remark("a last day without a time, such as 2026-12-31, ends with the first instant of that day in UTC: write the day after, or a time such as 2026-12-31T23:59:59Z, if the user may call on that day")
	}
	m.Ports = strings.FieldsFunc(r.cells["ports"], func(c rune) bool { return strings.ContainsRune(" ,;|", c) })
	if len(m.Ports) == 0 {
		m.Ports = nil
	}
	if !r.readUser(&m) || !r.readKind(&m) {
		return
	}
	if strings.Contains(m.Value, username.Variable) {
		r.skip("a pattern is not read from a table", "write the pattern into users.yaml by hand")
		return
	}
	if useredit.NeedsIssuer(m.Kind) && !r.readIssuer(&m) {
		return
	}
	r.line.Map(m)
}

func (r *row) readUser(m *importer.Mapping) (ok bool) {
	switch name := r.cells["user"]; {
	case r.disabled && !username.IsUser(name):
		m.User = importer.NoUser
		return true
	case name == "":
		r.skip("the line has no user", "write the user's name")
		return false
	default:
		m.User, ok = r.line.User(name)
		return ok
	}
}

// readKind reads the column that names the certificate. Other such columns must agree with it.
func (r *row) readKind(m *importer.Mapping) bool {
	var given []string
	for _, name := range identifying {
		if r.cells[name] != "" {
			given = append(given, name)
		}
	}
	if len(given) == 0 {
		r.skip("no column identifies the certificate", "fill in one of "+strings.Join(identifying, ", "))
		return false
	}
	m.Kind, m.Value = given[0], r.cells[given[0]]
	switch m.Kind {
	case "certificate":
		if r.leaf = r.readCertificate(m.Value); r.leaf == nil {
			return false
		}
	case "fingerprint":
		digits := strings.TrimPrefix(strings.ToLower(strings.ReplaceAll(m.Value, ":", "")), "sha256")
		r.leaf = r.in.Certificates.ByDigest(digits)
		if r.leaf == nil && len(digits) == 40 {
			r.skip("a SHA-1 does not name a certificate safely, and no certificate of --certs has it", "--certs FOLDER with the certificate, or its SHA-256")
			return false
		}
	}
	if r.leaf == nil && len(given) > 1 && m.Kind != "fingerprint" {
		r.skip("several columns identify the certificate: "+strings.Join(given, ", "), "leave one of them, or give the certificate")
		return false
	}
	if r.leaf == nil {
		return true
	}
	for _, name := range given[1:] {
		if !r.agrees(name) {
			r.skip(fmt.Sprintf("the certificate of the column %s has another %s", given[0], name), "correct one of the columns")
			return false
		}
	}
	exact := r.leaf.Fingerprint(m.User)
	m.Kind, m.Value, m.Note = exact.Kind, exact.Value, exact.Note
	return true
}

// agrees reports whether the certificate has the value of a column.
func (r *row) agrees(kind string) bool {
	cell := r.cells[kind]
	if kind == "fingerprint" {
		return r.in.Certificates.ByDigest(strings.TrimPrefix(strings.ToLower(cell), "sha256:")) == r.leaf
	}
	values, _ := useredit.KindValues(r.leaf.Cert, kind)
	return slices.ContainsFunc(values, func(v string) bool {
		a, b := importer.Mapping{Kind: kind, Value: v}, importer.Mapping{Kind: kind, Value: cell}
		return a.Same(b)
	})
}

// readCertificate returns the certificate of a cell: a file, or the certificate itself.
func (r *row) readCertificate(cell string) *importer.Certificate {
	if strings.Contains(cell, "-----BEGIN") || len(cell) > 300 && !strings.ContainsAny(cell, `.\`) {
		leaf, err := importer.ParseLeaf(cell)
		if err != nil {
			r.skip("certificate: "+err.Error(), "export the certificate again, as PEM or base64")
			return nil
		}
		return r.in.Certificates.Add(r.file, leaf)
	}
	path, err := r.in.Inside(r.file, filepath.FromSlash(cell))
	if err != nil {
		named := r.in.Certificates.InFile(filepath.FromSlash(cell))
		if len(named) == 1 {
			return named[0]
		}
		r.skip(fmt.Sprintf("certificate: %s is not a file in the folder of the table or of --certs", escape.Quote(cell, escape.Short)), "--certs FOLDER with the certificates")
		return nil
	}
	leaf, err := readLeaf(path)
	if err != nil {
		what, hint := err.Error(), ""
		if all := configerror.All(err); len(all) > 0 {
			what, hint = all[0].Position()+": "+all[0].What, all[0].Hint
		}
		r.skip("certificate: "+what, hint)
		return nil
	}
	return r.in.Certificates.Add(path, leaf)
}

// readLeaf returns the first certificate of a file, which must be a user's.
func readLeaf(path string) (*x509.Certificate, error) {
	entries, err := certfile.Read(path, certfile.Passwords{})
	switch {
	case err != nil:
		return nil, err
	case len(entries) > 1:
		return nil, &configerror.Error{File: path, What: "the file has several certificates of users", Hint: "mtlsguard keys import writes each into its own file"}
	case entries[0].Chain[0].IsCA:
		return nil, &configerror.Error{File: path, What: "the first certificate is an authority's", Hint: "put the user's own certificate first in the file"}
	}
	return entries[0].Chain[0], nil
}

// readIssuer sets the issuer: that of the column, as a file or a name, or the only one.
func (r *row) readIssuer(m *importer.Mapping) (ok bool) {
	cell := r.cells["issuer"]
	if cell == "" {
		if m.Issuer, ok = r.line.Issuer(r.leaf); !ok && r.disabled {
			r.skip("it has no issuer", "--issuer FILE")
		}
		return ok
	}
	if name, err := dn.Parse(cell); err == nil {
		if m.Issuer = r.in.AuthorityBySubject(name); m.Issuer != nil {
			return true
		}
		r.skip("issuer: no authority of --issuer is "+escape.Printable(cell, escape.Short), "--issuer FILE with its certificate")
		return false
	}
	path, err := r.in.Inside(r.file, filepath.FromSlash(cell))
	var entries []certfile.Entry
	if err == nil {
		entries, err = certfile.Read(path, certfile.Passwords{})
	}
	if err != nil || len(entries) != 1 || len(entries[0].Chain) != 1 || !entries[0].Chain[0].IsCA {
		r.skip(fmt.Sprintf("issuer: %s is neither the name of an authority nor a file with one", escape.Quote(cell, escape.Short)), "the subject of an authority of --issuer, or a file with its certificate")
		return false
	}
	m.Issuer = r.in.AddAuthority(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), entries[0].Chain[0])
	return true
}
