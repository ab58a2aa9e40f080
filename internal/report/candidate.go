package report

import (
	"crypto/x509"
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

// candidates returns every mapping that matches a certificate. The user is its common
// name, or NAME.
func candidates(c *x509.Certificate) []Candidate {
	user := UserFromCommonName(c)
	if user == "" {
		user = "NAME"
	}
	var out []Candidate
	for _, kind := range useredit.Kinds {
		all, why := useredit.KindValues(c, kind)
		if why != "" && len(all) == 0 {
			out = append(out, Candidate{Kind: kind, Why: why})
		}
		for i, value := range all {
			if i == maxNames {
				out = append(out, Candidate{Kind: kind, Why: fmt.Sprintf("and %d more", len(all)-i)})
				break
			}
			m := Candidate{Kind: kind, Value: value, Why: why}
			if m.Why == "" {
				m.Why = useredit.CheckMappable(kind, value)
			}
			if m.Why == "" {
				issuer := ""
				if useredit.NeedsIssuer(kind) {
					issuer = "ISSUER.pem"
				}
				m.Line = usersfile.Format("users.yaml", useredit.Fields(user, user, kind, value, issuer))
			}
			out = append(out, m)
		}
	}
	return append(out, unmappableNames(c)...)
}

// maxNames bounds the values shown of one kind.
const maxNames = useredit.MaxValues

// UserFromCommonName returns the common name if it is a valid user name, or "".
func UserFromCommonName(c *x509.Certificate) string {
	if cn := c.Subject.CommonName; username.IsUser(cn) {
		return cn
	}
	return ""
}
