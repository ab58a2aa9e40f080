package vaultrole

import (
	"crypto/x509"

	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// meets reports whether a certificate meets all constraints of a role.
func (one *role) meets(c *x509.Certificate) bool {
	for _, constraint := range one.constraints {
		if !constraint.matches(c) {
			return false
		}
	}
	return true
}

// sourceUser is Import.SourceUser. Vault takes any role that matches, or the one that the caller
// names: of several, none is known.
func (r *roles) sourceUser(c *importer.Certificate) (user string, known bool) {
	for _, one := range r.all {
		if !one.takes(r, c) {
			continue
		}
		if one.refused != "" || user != "" {
			return "", false
		}
		user = one.name
	}
	return user, true
}

// takes reports whether a role may take a certificate, as far as its constraints are known.
func (one *role) takes(r *roles, c *importer.Certificate) bool {
	for _, own := range one.certificates {
		if own.Equal(c.Cert) && one.meets(c.Cert) {
			return true
		}
	}
	return len(one.authorities) > 0 && one.meets(c.Cert) && r.IssuedUnder(c, one.authorities...)
}
