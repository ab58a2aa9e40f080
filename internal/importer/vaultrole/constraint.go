package vaultrole

import (
	"crypto/x509"
	"maps"
	"slices"
	"strings"
)

// constraint is a list of a role of which one pattern must match.
type constraint struct {
	key      string
	patterns []string
}

// kinds are the lists that a kind of mapping can express, and the kind.
var kinds = map[string]string{"allowed_uri_sans": "uri", "allowed_dns_sans": "dns", "allowed_email_sans": "email"}

// constraintKeys are the lists of patterns.
var constraintKeys = []string{"allowed_common_names", "allowed_dns_sans", "allowed_email_sans", "allowed_names", "allowed_organizational_units", "allowed_uri_sans"}

// matches reports whether a certificate has a name of the list.
func (c *constraint) matches(cert *x509.Certificate) bool {
	var values []string
	switch c.key {
	case "allowed_common_names":
		values = []string{cert.Subject.CommonName}
	case "allowed_dns_sans":
		values = cert.DNSNames
	case "allowed_email_sans":
		values = cert.EmailAddresses
	case "allowed_organizational_units":
		values = cert.Subject.OrganizationalUnit
	case "allowed_names":
		values = slices.Concat([]string{cert.Subject.CommonName}, cert.DNSNames, cert.EmailAddresses)
	case "allowed_uri_sans":
		for _, u := range cert.URIs {
			values = append(values, u.String())
		}
	}
	return slices.ContainsFunc(values, func(v string) bool {
		return slices.ContainsFunc(c.patterns, func(p string) bool { return matchGlob(p, v) })
	})
}

// matchGlob reports whether a text matches a pattern, in which * stands for any text.
func matchGlob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text = after
	}
	return strings.HasSuffix(text, last)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
