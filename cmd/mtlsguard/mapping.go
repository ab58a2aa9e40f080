package main

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

// kinds are those of users.yaml that name something in one certificate.
var kinds = []string{"fingerprint", "spki", "serial", "uri", "dns", "email", "subject"}

// needsIssuer reports whether a mapping of a kind must say under which authority.
func needsIssuer(kind string) bool { return kind != "fingerprint" && kind != "spki" }

// values are what a certificate has of a kind, or why it has nothing to map by.
func values(c *x509.Certificate, kind string) ([]string, string) {
	switch kind {
	case "fingerprint":
		return []string{"sha256:" + trust.FingerprintOf(c).String()}, ""
	case "spki":
		return []string{"sha256:" + trust.SPKIOf(c).String()}, ""
	case "serial":
		return []string{serialText(c)}, ""
	case "subject":
		n, err := certmap.SubjectOf(c)
		if err != nil {
			return nil, err.Error()
		}
		return []string{n.String()}, ""
	case "uri":
		if all := san.Values(c, san.URI); len(all) > 1 {
			return all, "a certificate with more than one URI has none to map by"
		}
		return san.Values(c, san.URI), ""
	case "dns":
		return san.Values(c, san.DNS), ""
	case "email":
		return san.Values(c, san.Email), ""
	}
	return nil, ""
}

// mappingOf is a mapping as it stands in a file.
func mappingOf(id, user, kind, value, issuer string) []usersfile.Field {
	out := []usersfile.Field{{Key: "id", Text: id}, {Key: "user", Text: user}, {Key: kind, Text: value}}
	if issuer != "" {
		out = append(out, usersfile.Field{Key: "issuer", Text: issuer})
	}
	return out
}

// mappings are all that a certificate can be mapped by. The user is a guess.
func mappings(c *x509.Certificate) []mappable {
	user := userOf(c)
	if user == "" {
		user = "NAME"
	}
	var out []mappable
	for _, kind := range kinds {
		all, why := values(c, kind)
		if why != "" && len(all) == 0 {
			out = append(out, mappable{Kind: kind, Why: why})
		}
		for i, value := range all {
			if i == maxNames {
				out = append(out, mappable{Kind: kind, Why: fmt.Sprintf("and %d more", len(all)-i)})
				break
			}
			m := mappable{Kind: kind, Value: value, Why: why}
			if m.Why == "" {
				m.Why = refused(kind, value)
			}
			if m.Why == "" {
				issuer := ""
				if needsIssuer(kind) {
					issuer = "ISSUER.pem"
				}
				m.Line = usersfile.Format("users.yaml", mappingOf(user, user, kind, value, issuer))
			}
			out = append(out, m)
		}
	}
	return out
}

// maxNames is how many values of one kind are shown.
const maxNames = 10

// refused asks the table itself why a value cannot be mapped by.
func refused(kind, value string) string {
	line := usersfile.Format("users.jsonl", mappingOf("x", "x", kind, value, map[bool]string{true: "x"}[needsIssuer(kind)]))
	_, err := certmap.Read("users.jsonl", []byte(line), func(string) (trust.Digest, error) { return trust.Digest{1}, nil })
	if all := configerror.All(err); len(all) > 0 {
		return strings.TrimPrefix(all[0].What, `mapping "x": `)
	}
	return ""
}

// userOf is the common name, where it can be a user's.
func userOf(c *x509.Certificate) string {
	if cn := c.Subject.CommonName; username.IsUser(cn) {
		return cn
	}
	return ""
}
