package trust

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
)

// isOlder reports whether a list is older than another of the same issuer: by CRL number (RFC
// 5280 section 5.2.3) if both have one, then by date.
func isOlder(list, than *x509.RevocationList) bool {
	if list.Number != nil && than.Number != nil {
		if c := list.Number.Cmp(than.Number); c != 0 {
			return c < 0
		}
	}
	return list.ThisUpdate.Before(than.ThisUpdate)
}

// checkNotOlder rejects a list that is older than the current one of its series: see
// trustaccess.CheckNotOlder.
func (v *Verifier) checkNotOlder(list *x509.RevocationList) error {
	next := &parsedCRL{list: list, scope: scopeOf(list)}
	for _, l := range v.crls[dn.Canonical(list.RawIssuer)] {
		if next.sameSeries(l.parsedCRL) && isOlder(list, l.list) {
			return &configerror.Error{
				What: fmt.Sprintf("the CRL, number %d of %s, is older than the current one, number %d", list.Number, quoteName(&list.Issuer), l.list.Number),
				Hint: "download the newest CRL from the CA, or restart the program to use the older one",
			}
		}
	}
	return nil
}

// sameSeries reports whether two lists of one issuer have the same key and scope: then one
// replaces the other.
func (l *parsedCRL) sameSeries(other *parsedCRL) bool {
	return bytes.Equal(l.list.AuthorityKeyId, other.list.AuthorityKeyId) && l.scope.equal(&other.scope)
}
