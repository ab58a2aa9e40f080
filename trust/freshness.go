package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// checkRevoked is the self-test of the CRLs: each certificate must be one that Verify
// refuses as revoked, by the signature, the issuer and the scope of the lists. One that
// has expired is not asked about any more: its CA may take it off the list, and then no
// newer list would load.
func (v *Verifier) checkMustBeRevoked(wrong *errorlist.List, all []*x509.Certificate, now time.Time) {
	for i, c := range all {
		switch {
		case c == nil:
			wrong.Add(configerror.Error{What: fmt.Sprintf("MustBeRevoked[%d] is nil", i)})
			continue
		case now.After(c.NotAfter):
			v.warnings = append(v.warnings, fmt.Sprintf("the certificate %s, serial %X, that must be revoked expired at %s and shows nothing any more: revoke another and name that",
				quote(c.Subject.String()), c.SerialNumber, c.NotAfter.UTC().Format(time.RFC3339)))
			continue
		}
		issued, revoked := v.isRevoked(c, now)
		if revoked {
			continue
		}
		m := configerror.Error{
			What: fmt.Sprintf("the certificate %s, serial %X, must be revoked and is not", quote(c.Subject.String()), c.SerialNumber),
			Hint: "take the newest CRL of its issuer, and see that revocation is not off",
		}
		if !issued {
			m.What += ": no anchor and no CRL issuer that is known issued it"
			m.Hint = "crl_issuers: [FILE] with the certificate of the intermediate that issued it"
		}
		wrong.Add(m)
	}
}

// isRevoked reports whether a known authority issued c, and whether a list revokes it.
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

// newest returns the current lists: of each issuer, key and scope the newest.
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

// FreshUntil is the earliest next update of the CRLs that are needed, or zero where
// none is: after it, Hard refuses.
func (v *Verifier) crlsFreshUntil() time.Time {
	var first time.Time
	if v.revocation != RevocationHard {
		return first
	}
	for _, l := range v.currentCRLs() {
		if first.IsZero() || l.until.Before(first) {
			first = l.until
		}
	}
	return first
}

// Aging names the CRLs that have lived more than half of their time without being
// replaced: whoever should bring the next one may have stopped.
func (v *Verifier) agingCRLs() []string {
	if v.revocation == RevocationOff {
		return nil
	}
	var out []string
	now := v.now()
	for _, l := range v.currentCRLs() {
		if half := l.until.Sub(l.list.ThisUpdate) / 2; now.Sub(l.list.ThisUpdate) > half {
			out = append(out, fmt.Sprintf("the CRL of %s is to be replaced by %s", quote(l.list.Issuer.String()), l.until.UTC().Format(time.RFC3339)))
		}
	}
	slices.Sort(out)
	return out
}
