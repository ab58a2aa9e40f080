package kongyaml

import (
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
)

// kinds are the kinds of alternative names that Kong compares with a text, and mappings have.
var kinds = []string{"uri", "email", "dns"}

// kindOf returns the kind of alternative name that a text is, or "" for a common name. A host name
// of one label is taken for a common name.
func kindOf(text string) string {
	_, isEmail := san.SplitEmail(text)
	switch {
	case strings.Contains(text, "://") || strings.HasPrefix(text, "urn:"):
		return "uri"
	case isEmail:
		return "email"
	case san.IsDNS(text) && strings.Contains(text, ".") && net.ParseIP(text) == nil:
		return "dns"
	}
	return ""
}

// carryName writes the mappings of a name: one for certificates that have it as an alternative
// name, under each authority, and one for each certificate of --certs that has it otherwise.
func (i *importing) carryName(n *name) {
	kind, disabled := kindOf(n.text), n.refused != ""
	m := importer.Mapping{Kind: kind, Value: n.text}
	folds := m.FoldsHost() && !i.options.SameCase && !disabled // a name too many is no harm where all are refused
	if kind != "" && !folds {
		for _, a := range n.all {
			if n.line.Map(importer.Mapping{User: n.user, Kind: kind, Value: n.text, Issuer: a, Disabled: disabled}) {
				n.mapped = true
			}
		}
	}
	found := false
	for _, c := range i.byName[n.text] {
		values, _ := useredit.KindValues(c.Cert, kind)
		if kind != "" && !folds && slices.Contains(values, n.text) || !i.IssuedUnder(c, n.all...) {
			continue
		}
		m := c.Fingerprint(n.user)
		m.Disabled = disabled
		if n.line.Map(m) {
			n.mapped, found = true, true
		}
	}
	switch {
	case folds && found:
		n.line.Change(importer.FoldsHostWhy + ": the certificates of --certs are written, and the next one needs a line of its own")
	case folds:
		n.line.Skip(importer.FoldsHostWhy, importer.FoldsHostHint)
	case found:
		n.line.Change("a name outside the alternative names is that of the certificates of --certs alone: the next certificate needs a line of its own")
	case kind == "" && n.own != "":
		n.unfound = append(n.unfound, fmt.Sprintf("a certificate with the common name %q, and without alternative names, is the consumer by its %s, and no such certificate is in --certs", n.text, n.own))
	case kind == "":
		n.line.Skip("a common name alone names no certificate, and no certificate of --certs has it", "--certs FOLDER with the certificate")
	}
}

// certificateNames are the texts by which Kong looks a certificate up.
type certificateNames struct {
	sure    []string // its alternative names; without any, its common name
	perhaps string   // its common name beside alternative names: versions differ
}

func readNames(c *importer.Certificate) (out certificateNames) {
	first, _ := importer.CommonNameKey().Text(c)
	if !slices.ContainsFunc(c.Cert.Extensions, func(e pkix.Extension) bool { return e.Id.String() == "2.5.29.17" }) {
		if first == c.Cert.Subject.CommonName && first != "" { // several common names: which one counts is not known
			out.sure = []string{first}
		} else {
			out.perhaps = first
		}
		return out
	}
	for _, kind := range kinds {
		values, _ := useredit.KindValues(c.Cert, kind)
		out.sure = append(out.sure, values...)
	}
	out.perhaps = first
	return out
}

// sourceUser is Import.SourceUser.
func (i *importing) sourceUser(c *importer.Certificate) (user string, known bool) {
	if !i.IssuedUnder(c) {
		return "", true
	}
	names := readNames(c)
	var found *consumer
	for _, text := range names.sure {
		for _, n := range i.deciding(c, text) {
			if n.lost || found != nil && found != n.consumer {
				return "", false
			}
			found = n.consumer
		}
	}
	if slices.ContainsFunc(i.names[names.perhaps], func(n *name) bool { return n.consumer != found }) {
		return "", false
	}
	if found == nil {
		return "", true
	}
	return found.name(), true
}

// deciding returns the names by which Kong finds the consumer for a text in a certificate.
func (i *importing) deciding(c *importer.Certificate, text string) []*name {
	all := i.names[text]
	for _, counts := range []func(*name) bool{
		func(n *name) bool { return n.only != nil && i.IssuedUnder(c, n.only) || n.lost },
		func(n *name) bool { return n.only == nil && n.own == "" && !n.lost },
		func(n *name) bool { return n.own != "" },
	} {
		if i := slices.IndexFunc(all, counts); i >= 0 {
			return slices.DeleteFunc(slices.Clone(all), func(n *name) bool { return !counts(n) })
		}
	}
	return nil
}
