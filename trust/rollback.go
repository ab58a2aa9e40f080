package trust

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/mistake"
)

// Older reports whether a list is older than another of the same issuer: by its CRL
// number (RFC 5280 section 5.2.3) where both have one, else by its date.
func Older(list, than *x509.RevocationList) bool {
	if list.Number != nil && than.Number != nil {
		return list.Number.Cmp(than.Number) < 0
	}
	return list.ThisUpdate.Before(than.ThisUpdate)
}

// CheckNewer refuses a list that is older than one that the verifier has, of the
// same issuer, key and scope: whoever can put yesterday's list back could make a
// revoked certificate work again. The error is a mistake.
func (v *Verifier) CheckNewer(list *x509.RevocationList) error {
	s := scopeOf(list)
	for _, l := range v.crls[string(list.RawIssuer)] {
		if bytes.Equal(l.list.AuthorityKeyId, list.AuthorityKeyId) && l.scope.equal(&s) && Older(list, l.list) {
			return &mistake.Mistake{
				What: fmt.Sprintf("the CRL, number %d of %s, is older than the one in force, number %d", list.Number, quote(list.Issuer.String()), l.list.Number),
				Hint: "take the newest CRL from the CA, or restart to go back on purpose",
			}
		}
	}
	return nil
}
