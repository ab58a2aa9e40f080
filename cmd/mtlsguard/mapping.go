package main

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

// kinds are those of users.yaml that name something in one certificate.
var kinds = []string{"fingerprint", "spki", "serial", "uri", "dns", "email", "subject"}

// needsIssuer reports whether a mapping of a kind must say under which authority.
func needsIssuer(kind string) bool { return kind != "fingerprint" && kind != "spki" }

// values are what a certificate has of a kind, or why it has nothing to map by.
func kindValues(c *x509.Certificate, kind string) ([]string, string) {
	switch kind {
	case "fingerprint":
		return []string{"sha256:" + trust.FingerprintOf(c).String()}, ""
	case "spki":
		return []string{"sha256:" + trust.SPKIOf(c).String()}, ""
	case "serial":
		return []string{formatSerial(c)}, ""
	case "subject":
		n, err := certmap.SubjectOf(c)
		if err != nil {
			return nil, err.Error()
		}
		return []string{n.String()}, ""
	case "uri":
		if all := alternativeNames(c, 6); len(all) > 1 {
			return all, "a certificate with more than one URI has none to map by"
		}
		return alternativeNames(c, 6), ""
	case "dns":
		return alternativeNames(c, 2), ""
	case "email":
		return alternativeNames(c, 1), ""
	}
	return nil, ""
}

// names are the alternative names of a kind, byte for byte (RFC 5280 section 4.2.1.6).
func alternativeNames(c *x509.Certificate, tag int) []string {
	var out []string
	for _, e := range c.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var list asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &list); err != nil {
			continue
		}
		for rest := list.Bytes; len(rest) > 0; {
			var name asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &name); err != nil {
				break
			}
			if name.Class == asn1.ClassContextSpecific && name.Tag == tag {
				out = append(out, string(name.Bytes))
			}
		}
	}
	return out
}

// mappingOf is a mapping as it stands in a file.
func mappingFields(id, user, kind, value, issuer string) []usersfile.Field {
	out := []usersfile.Field{{Key: "id", Text: id}, {Key: "user", Text: user}, {Key: kind, Text: value}}
	if issuer != "" {
		out = append(out, usersfile.Field{Key: "issuer", Text: issuer})
	}
	return out
}

// mappings are all that a certificate can be mapped by. The user is a guess.
func mappingCandidates(c *x509.Certificate) []mappingCandidate {
	user := userFromCommonName(c)
	if user == "" {
		user = "NAME"
	}
	var out []mappingCandidate
	for _, kind := range kinds {
		all, why := kindValues(c, kind)
		if why != "" && len(all) == 0 {
			out = append(out, mappingCandidate{Kind: kind, Why: why})
		}
		for i, value := range all {
			if i == maxNames {
				out = append(out, mappingCandidate{Kind: kind, Why: fmt.Sprintf("and %d more", len(all)-i)})
				break
			}
			m := mappingCandidate{Kind: kind, Value: value, Why: why}
			if m.Why == "" {
				m.Why = checkMappable(kind, value)
			}
			if m.Why == "" {
				issuer := ""
				if needsIssuer(kind) {
					issuer = "ISSUER.pem"
				}
				m.Line = usersfile.Format("users.yaml", mappingFields(user, user, kind, value, issuer))
			}
			out = append(out, m)
		}
	}
	return out
}

// maxNames is how many values of one kind are shown.
const maxNames = 10

// refused asks the table itself why a value cannot be mapped by.
func checkMappable(kind, value string) string {
	line := usersfile.Format("users.jsonl", mappingFields("x", "x", kind, value, map[bool]string{true: "x"}[needsIssuer(kind)]))
	_, err := certmap.Read("users.jsonl", []byte(line), func(string) (trust.Digest, error) { return trust.Digest{1}, nil })
	if all := configerror.All(err); len(all) > 0 {
		return strings.TrimPrefix(all[0].What, `mapping "x": `)
	}
	return ""
}

// userOf is the common name, where it can be a user's.
func userFromCommonName(c *x509.Certificate) string {
	if cn := c.Subject.CommonName; username.IsUser(cn) {
		return cn
	}
	return ""
}
