package trust

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
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
			v.warn(fmt.Sprintf("the certificate %s, serial %X, that must be revoked expired at %s and is not checked any more",
				quoteName(&c.Subject), c.SerialNumber, c.NotAfter.UTC().Format(time.RFC3339)), "revoke another certificate and use that one")
			continue
		}
		issued, revoked := v.isRevoked(c, now)
		if revoked {
			continue
		}
		m := configerror.Error{
			What: fmt.Sprintf("the certificate %s, serial %X, must be revoked, but is not", quoteName(&c.Subject), c.SerialNumber),
			Hint: "download the newest CRL of its issuer, and check that revocation is not off",
		}
		if !issued {
			m.What += ": no anchor and no CRL issuer issued it" + v.lookalike(c)
			m.Hint = "add the certificate of the authority that issued it to crl_issuers: [FILE]"
		}
		wrong.Add(m)
	}
}

// lookalike names a configured authority that looks like the issuer of c and is not.
func (v *Verifier) lookalike(c *x509.Certificate) string {
	wanted := issuerOf(c)
	for _, a := range v.authorities {
		if why := wanted.whyNot(a.cert); why != "" {
			return fmt.Sprintf("; %s, serial %X, %s", quoteName(&a.cert.Subject), a.cert.SerialNumber, why)
		}
	}
	return ""
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

// crlsFreshUntil returns the earliest next update: see trustaccess.CRLsFreshUntil.
func (v *Verifier) crlsFreshUntil() (until time.Time) {
	if v.revocation != RevocationHard {
		return until
	}
	for _, l := range v.currentCRLs() {
		if until.IsZero() || l.until.Before(until) {
			until = l.until
		}
	}
	return until
}

// crlStates returns the current lists: see trustaccess.CurrentCRLs.
func (v *Verifier) crlStates() []hook.CRLState {
	if v.revocation == RevocationOff {
		return nil
	}
	var out []hook.CRLState
	for _, l := range v.currentCRLs() {
		out = append(out, hook.CRLState{List: l.list, Until: l.until, SignedBy: l.signedBy})
	}
	slices.SortStableFunc(out, func(a, b hook.CRLState) int {
		return cmp.Or(cmp.Compare(dn.Print(&a.List.Issuer), dn.Print(&b.List.Issuer)), a.Until.Compare(b.Until))
	})
	return out
}

// lookUp looks up a serial number: see trustaccess.LookUp.
func (v *Verifier) lookUp(issuer []byte, serial *big.Int) []hook.CRLLookup {
	var out []hook.CRLLookup
	for _, l := range v.crls[dn.Canonical(issuer)] {
		at := hook.CRLLookup{CRLState: hook.CRLState{List: l.list, Until: l.until, SignedBy: l.signedBy}, Listed: l.revokes(serial), Replaced: l.replaced}
		if len(l.authorities) > 0 {
			at.Signer = l.authorities[0].cert
		}
		out = append(out, at)
	}
	return out
}
