package useredit

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/internal/usersload"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Kinds are the kinds of mappings, in the order in which they are tried.
var Kinds = []string{"fingerprint", "spki", "serial", "uri", "dns", "email", "subject"}

// NeedsIssuer reports whether a mapping of a kind must name an issuer.
func NeedsIssuer(kind string) bool { return kind != "fingerprint" && kind != "spki" }

// KindValues returns the values of a kind in a certificate, or why no mapping can name one.
func KindValues(c *x509.Certificate, kind string) ([]string, string) {
	switch kind {
	case "fingerprint":
		return []string{"sha256:" + trust.FingerprintOf(c).String()}, ""
	case "spki":
		return []string{"sha256:" + trust.SPKIOf(c).String()}, ""
	case "serial":
		return []string{Serial(c)}, ""
	case "subject":
		n, err := dn.FromDER(c.RawSubject)
		if err != nil {
			return nil, err.Error()
		}
		return []string{n.String()}, ""
	case "uri":
		if all := san.Values(c, san.URI); len(all) > 1 {
			return all, "a certificate with more than one URI matches no mapping by uri"
		}
		return san.Values(c, san.URI), ""
	case "dns":
		return san.Values(c, san.DNS), ""
	case "email":
		return san.Values(c, san.Email), ""
	}
	return nil, ""
}

// Fields returns a mapping as the file of users writes it.
func Fields(id, user, kind, value, issuer string) []usersfile.Field {
	out := []usersfile.Field{{Key: "id", Text: id}, {Key: "user", Text: user}, {Key: kind, Text: value}}
	if issuer != "" {
		out = append(out, usersfile.Field{Key: "issuer", Text: issuer})
	}
	return out
}

// MaxValues bounds the values shown of one kind.
const MaxValues = 10

// CheckMappable returns why no mapping can name a value, or "".
func CheckMappable(kind, value string) string {
	issuer := ""
	if NeedsIssuer(kind) {
		issuer = "x"
	}
	if e := CheckFields(Fields("x", "x", kind, value, issuer)); e != nil {
		return e.What
	}
	return ""
}

// CheckFields reads one mapping as a load does, whose issuer may be the name of any file, and
// returns the first error, without the mapping's id. It makes no table.
func CheckFields(fields []usersfile.Field) *configerror.Error {
	line := usersfile.Format("users.jsonl", fields)
	all := configerror.All(usersload.Check("users.jsonl", []byte(line)))
	if len(all) == 0 {
		return nil
	}
	e := *all[0]
	if _, what, ok := strings.Cut(e.What, `": `); ok && strings.HasPrefix(e.What, "mapping ") {
		e.What = what
	}
	return &e
}

// UnusedID returns the user, with a number if a mapping has that id.
func UnusedID(user string, taken []certmap.Mapping) string {
	for n := 1; ; n++ {
		id := user
		if n > 1 {
			id = fmt.Sprintf("%s-%d", user, n)
		}
		if !slices.ContainsFunc(taken, func(m certmap.Mapping) bool { return m.ID == id }) {
			return id
		}
	}
}

// Serial returns the serial number of a certificate in upper-case hexadecimal digits.
func Serial(c *x509.Certificate) string {
	if c.SerialNumber == nil {
		return ""
	}
	return strings.ToUpper(c.SerialNumber.Text(16))
}
