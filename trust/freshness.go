package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// checkMustBeRevoked is a self-test of the CRLs: Verify must refuse each of these certificates
// as revoked. An expired certificate is skipped: its CA may remove it from the list, and then
// no newer list would load.
func (v *Verifier) checkMustBeRevoked(wrong *errorlist.List, all []*x509.Certificate, now time.Time) {
	for i, c := range all {
		switch {
		case c == nil:
			wrong.Add(configerror.Error{What: fmt.Sprintf("MustBeRevoked[%d] is nil", i)})
			continue
		case now.After(c.NotAfter):
			v.warnings = append(v.warnings, fmt.Sprintf("the certificate %s, serial %X, that must be revoked expired at %s and is not checked any more: revoke another certificate and use that one",
				quote(c.Subject.String()), c.SerialNumber, c.NotAfter.UTC().Format(time.RFC3339)))
			continue
		}
		issued, revoked := v.isRevoked(c, now)
		if revoked {
			continue
		}
		m := configerror.Error{
			What: fmt.Sprintf("the certificate %s, serial %X, must be revoked, but is not", quote(c.Subject.String()), c.SerialNumber),
			Hint: "download the newest CRL of its issuer, and check that revocation is not off",
		}
		if !issued {
			m.What += ": no anchor and no CRL issuer issued it"
			m.Hint = "add the certificate of the intermediate that issued it to crl_issuers: [FILE]"
		}
		wrong.Add(m)
	}
}

// isRevoked reports whether a configured authority issued c, and whether a list revokes it.
func (v *Verifier) isRevoked(c *x509.Certificate, now time.Time) (issued, revoked bool) {
	for _, a := range v.authorities {
		if !issuedBy(c, a) {
			continue
		}
		issued = true
		for _, anchor := range a.anchors {
			if on, _, _ := v.crlStatus(c, a.cert, anchor, now); on && v.revocation != RevocationOff {
				return true, true
			}
		}
	}
	return issued, false
}

// currentCRLs returns the newest list of each issuer, key and scope.
func (v *Verifier) currentCRLs() []*crl {
	var out []*crl
	for _, lists := range v.crls {
		for _, l := range lists {
			if !l.replaced {
				out = append(out, l)
			}
		}
	}
	return out
}

// firstCRLToEnd returns the dates of the current list with the earliest next update: see
// trustaccess.FirstCRLToEnd.
func (v *Verifier) firstCRLToEnd() (issued, until time.Time) {
	if v.revocation != RevocationHard {
		return issued, until
	}
	for _, l := range v.currentCRLs() {
		if until.IsZero() || l.until.Before(until) {
			issued, until = l.list.ThisUpdate, l.until
		}
	}
	return issued, until
}

// agingCRLs describes the CRLs past half of their lifetime: see trustaccess.AgingCRLs.
func (v *Verifier) agingCRLs() []string {
	if v.revocation == RevocationOff {
		return nil
	}
	var out []string
	now := v.now()
	for _, l := range v.currentCRLs() {
		if half := l.until.Sub(l.list.ThisUpdate) / 2; now.Sub(l.list.ThisUpdate) > half {
			out = append(out, fmt.Sprintf("the CRL of %s must be replaced by %s", quote(l.list.Issuer.String()), l.until.UTC().Format(time.RFC3339)))
		}
	}
	slices.Sort(out)
	return out
}
