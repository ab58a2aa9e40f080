package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
)

// maxCRLAge is the lifetime of a CRL without a next update.
const maxCRLAge = 7 * 24 * time.Hour

// serialSize is the largest size of a serial number, in bytes (RFC 5280 section 4.1.2.2).
const serialSize = 20

// maxSigners is the largest number of signature checks that a list caches.
const maxSigners = 1024

// reasonRemoved is removeFromCRL (RFC 5280 section 5.3.1), for delta lists only.
const reasonRemoved = 8

// crl is one revocation list of a Verifier.
type crl struct {
	*parsedCRL
	replaced    bool         // by a newer list of its series: it still revokes, but shows nothing else
	authorities []*authority // of the list's issuer name, whose key signed it
}

var (
	oidDelta = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidScope = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// checkCRL reports every reason why a list cannot be used: see trustaccess.CheckCRL.
func checkCRL(list *x509.RevocationList, authorities []*x509.Certificate, now time.Time) error {
	return parseCRL(list).check(authorities, now)
}

// addCRL adds a list that passed its check.
func (v *Verifier) addCRL(parsed *parsedCRL) {
	l := &crl{parsedCRL: parsed}
	v.crls[l.name] = append(v.crls[l.name], l)
	for _, a := range v.authorities {
		if a.name == l.name && l.signedBy(a.cert) {
			l.authorities = append(l.authorities, a)
		}
	}
	if v.revocation == RevocationOff {
		return
	}
	if len(l.authorities) == 0 {
		v.warn(fmt.Sprintf("no known authority signed the CRL of %s: it applies only to certificates whose chain contains an issuer with that name and key%s", quoteName(&l.list.Issuer), v.printedAlike(l.list)),
			"add that issuer to crl_issuers, or remove the CRL")
	}
}

// printedAlike names an authority that is not the issuer of a list, although its name looks
// like the issuer's.
func (v *Verifier) printedAlike(list *x509.RevocationList) string {
	for _, a := range v.authorities {
		if isPrintedAlike(&a.cert.Subject, &list.Issuer) && dn.Print(&a.cert.Subject) == dn.Print(&list.Issuer) {
			return fmt.Sprintf("; the name of the authority with serial %X is printed alike, with its parts in another order or form", a.cert.SerialNumber)
		}
	}
	return ""
}

// markReplaced finds the lists that a newer list replaces.
func (v *Verifier) markReplaced() {
	for _, lists := range v.crls {
		for _, l := range lists {
			l.replaced = slices.ContainsFunc(lists, func(other *crl) bool {
				signed := len(l.authorities) > 0 || len(l.list.AuthorityKeyId) > 0 // otherwise they may be of two keys
				return signed && l.sameSeries(other.parsedCRL) && slices.Equal(l.authorities, other.authorities) && isOlder(l.list, other.list)
			})
		}
	}
}
