package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/reason"
)

// addAnchor adds an anchor; where is its place in Config.
func (v *Verifier) addAnchor(wrong *errorlist.List, where string, a *x509.Certificate) {
	if a == nil {
		wrong.Add(configerror.Error{What: where + " is nil"})
		return
	}
	v.anchorKeys = append(v.anchorKeys, SPKIOf(a))
	if e := checkAnchor(a, v.profile); e != nil {
		e.What = fmt.Sprintf("%s, serial %X, ", where, a.SerialNumber) + e.What
		wrong.Add(*e)
		return
	}
	if a.IsCA && a.BasicConstraintsValid {
		v.roots.AddCert(a)
	} else {
		v.pins[FingerprintOf(a)] = true
	}
	for _, text := range constraintWarnings(a) {
		v.warnAnchor(a, text, "")
	}
	v.warnUseless(a)
}

// checkAnchor returns why a certificate cannot be an anchor, as a predicate without its
// subject, or nil.
func checkAnchor(a *x509.Certificate, p Profile) *configerror.Error {
	if a.Version != 3 {
		// Version 1 has no extensions, so it cannot show that it is an authority.
		return &configerror.Error{
			What: fmt.Sprintf("is an X.509 version %d certificate", a.Version),
			Hint: "use a version 3 certificate with basicConstraints CA:TRUE",
		}
	}
	if err := checkCertificateSyntax(a); err != nil {
		return &configerror.Error{
			What: "cannot be read: " + err.Error(),
			Hint: "have the CA certificate reissued; RFC 5280 section 4.1 has the order of its parts",
		}
	}
	if p == Strict && a.IsCA && isEmptyName(a.RawSubject) {
		return &configerror.Error{
			What: "has an empty subject",
			Hint: "have the CA certificate reissued with a subject (RFC 5280 section 4.1.2.6), or set profile: compatible",
		}
	}
	return nil
}

// warnUseless warns about an anchor under which no certificate verifies.
func (v *Verifier) warnUseless(a *x509.Certificate) {
	whose := fmt.Sprintf("the anchor %s, serial %X", quoteName(&a.Subject), a.SerialNumber)
	if !a.IsCA || !a.BasicConstraintsValid {
		if err := v.checkLeaf(a); err != nil { // otherwise it is an anchor for itself alone
			v.warnAnchor(a, whose+", is not a CA certificate (basicConstraints CA:TRUE is missing): no certificate verifies under it, and it is refused itself: "+detailOf(err),
				"name the CA's certificate, or have it reissued with basicConstraints CA:TRUE and keyUsage keyCertSign, cRLSign")
		}
		return
	}
	useless := func(why, hint string) { v.warnAnchor(a, "no certificate verifies under "+whose+": "+why, hint) }
	if has(a, oidKeyUsage) && a.KeyUsage&x509.KeyUsageCertSign == 0 {
		useless("its key usage lacks keyCertSign", "have the CA certificate reissued with keyUsage keyCertSign, cRLSign")
	} else if err := v.checkAuthority(a); err != nil {
		useless(detailOf(err), "have the CA certificate reissued, or set profile: compatible")
	}
	if len(a.ExtKeyUsage)+len(a.UnknownExtKeyUsage) > 0 && !slices.Contains(a.ExtKeyUsage, v.usage.extended()) && !slices.Contains(a.ExtKeyUsage, x509.ExtKeyUsageAny) {
		useless("its extended key usage lacks "+v.usage.String(), "use a CA certificate without an extended key usage, or with "+v.usage.String())
	}
	if err := v.checkKey(a, true); err != nil {
		useless(detailOf(err), "use a CA whose key is supported: "+algorithm.SupportedKeys)
	}
}

// warnUnlisted warns about anchors that RevocationHard makes useless: nothing shows which of
// their certificates are revoked.
func (v *Verifier) warnUnlisted() {
	if v.revocation != RevocationHard {
		return
	}
	for _, a := range v.anchors {
		if a != nil && a.IsCA && !v.looksUp(a) {
			v.warnAnchor(a, fmt.Sprintf("no CRL of the anchor %s, serial %X, is loaded, and revocation is hard: every chain that ends at it is refused (revocation-unknown)", quoteName(&a.Subject), a.SerialNumber),
				"add its CRL to crls")
		}
	}
}

// looksUp reports whether a CRL or the Responder shows which certificates of an anchor are
// revoked.
func (v *Verifier) looksUp(anchor *x509.Certificate) bool {
	if v.revocation == RevocationOff {
		return false
	}
	if v.responder != nil {
		return true
	}
	for _, a := range v.authorities {
		if a.cert.Equal(anchor) && slices.ContainsFunc(v.crls[dn.Canonical(anchor.RawSubject)], func(l *crl) bool { return l.belongsTo(a) }) {
			return true
		}
	}
	return false
}

// detailOf returns the detail of a refusal.
func detailOf(err error) string {
	if refusal, ok := errors.AsType[*reason.Refusal](err); ok {
		return refusal.Detail
	}
	return err.Error()
}
