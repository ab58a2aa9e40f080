package trust

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
)

// Older reports whether a list is older than another of the same issuer: by its CRL
// number (RFC 5280 section 5.2.3) where both have one, then by its date.
func isOlder(list, than *x509.RevocationList) bool {
	if list.Number != nil && than.Number != nil {
		if c := list.Number.Cmp(than.Number); c != 0 {
			return c < 0
		}
	}
	return list.ThisUpdate.Before(than.ThisUpdate)
}

// CheckNewer refuses a list that is older than one that the verifier has, of the
// same issuer, key and scope: whoever can put yesterday's list back could make a
// revoked certificate work again. The error is a mistake.
func (v *Verifier) checkNotOlder(list *x509.RevocationList) error {
	next := &crl{list: list, scope: scopeOf(list)}
	for _, l := range v.crls[dn.Canonical(list.RawIssuer)] {
		if next.sameSeries(l) && isOlder(list, l.list) {
			return &configerror.Error{
				What: fmt.Sprintf("the CRL, number %d of %s, is older than the one in force, number %d", list.Number, quote(list.Issuer.String()), l.list.Number),
				Hint: "take the newest CRL from the CA, or restart to go back on purpose",
			}
		}
	}
	return nil
}

// sameSeries reports whether two lists of one issuer are of one key and one scope,
// so that one replaces the other.
func (l *crl) sameSeries(other *crl) bool {
	return bytes.Equal(l.list.AuthorityKeyId, other.list.AuthorityKeyId) && l.scope.equal(&other.scope)
}
