package main

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

// kinds are the kinds of mappings, in the order in which they are tried.
var kinds = []string{"fingerprint", "spki", "serial", "uri", "dns", "email", "subject"}

// needsIssuer reports whether a mapping of a kind must name an issuer.
func needsIssuer(kind string) bool { return kind != "fingerprint" && kind != "spki" }

// kindValues returns the values of a kind in a certificate, or why no mapping can name one.
func kindValues(c *x509.Certificate, kind string) ([]string, string) {
	switch kind {
	case "fingerprint":
		return []string{"sha256:" + trust.FingerprintOf(c).String()}, ""
	case "spki":
		return []string{"sha256:" + trust.SPKIOf(c).String()}, ""
	case "serial":
		return []string{formatSerial(c)}, ""
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

// mappingFields returns a mapping as the file of users writes it.
func mappingFields(id, user, kind, value, issuer string) []usersfile.Field {
	out := []usersfile.Field{{Key: "id", Text: id}, {Key: "user", Text: user}, {Key: kind, Text: value}}
	if issuer != "" {
		out = append(out, usersfile.Field{Key: "issuer", Text: issuer})
	}
	return out
}

// mappingCandidates returns every mapping that matches a certificate. The user is its common
// name, or NAME.
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
	return append(out, unmappableNames(c)...)
}

// maxNames bounds the values shown of one kind.
const maxNames = 10

// checkMappable returns why no mapping can name a value, or "". It loads such a mapping to
// find out.
func checkMappable(kind, value string) string {
	line := usersfile.Format("users.jsonl", mappingFields("x", "x", kind, value, map[bool]string{true: "x"}[needsIssuer(kind)]))
	_, err := certmap.Load("users.jsonl", strings.NewReader(line), certmap.WithIssuers(func(string) (trust.Digest, error) { return trust.Digest{1}, nil }))
	if all := configerror.All(err); len(all) > 0 {
		return strings.TrimPrefix(all[0].What, `mapping "x": `)
	}
	return ""
}

// userFromCommonName returns the common name if it is a valid user name, or "".
func userFromCommonName(c *x509.Certificate) string {
	if cn := c.Subject.CommonName; username.IsUser(cn) {
		return cn
	}
	return ""
}
