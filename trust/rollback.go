package trust

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"

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

// CheckRollback refuses a verifier whose CRLs are older than those of the one that
// it is to replace: whoever can put yesterday's list back can make a revoked
// certificate work again. Every finding is a mistake.
func (v *Verifier) CheckRollback(previous *Verifier) error {
	var wrong mistake.List
	for issuer, lists := range v.crls {
		for _, l := range lists {
			for _, old := range previous.crls[issuer] {
				if l.sameSeries(old) && Older(l.list, old.list) {
					wrong.Add(mistake.Mistake{
						What: fmt.Sprintf("the CRL of %s, number %d, is older than the one in force, number %d", quote(l.list.Issuer.String()), l.list.Number, old.list.Number),
						Hint: "take the newest CRL from the CA, or restart to go back on purpose",
					})
				}
			}
		}
	}
	return wrong.Err()
}

// sameSeries reports whether two lists of one issuer are of one key and one scope,
// so that one replaces the other.
func (l *crl) sameSeries(old *crl) bool {
	a, b := &l.scope, &old.scope
	return bytes.Equal(l.list.AuthorityKeyId, old.list.AuthorityKeyId) && slices.Equal(a.points, b.points) &&
		a.users == b.users && a.authorities == b.authorities && a.attributes == b.attributes && a.someReasons == b.someReasons
}
