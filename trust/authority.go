package trust

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// authority is a configured certificate that may sign CRLs: an anchor, or one of
// Config.CRLIssuers.
type authority struct {
	cert    *x509.Certificate
	name    string   // canonical
	anchors []string // what anchorName returns for the anchors above it, its own included
	revoked bool     // by a list of an authority above it
}

// addAuthorities collects the anchors and the CRL issuers, and finds the anchors above each.
func (v *Verifier) addAuthorities(wrong *errorlist.List, issuers []*x509.Certificate) {
	for i, c := range issuers {
		switch {
		case c == nil:
			wrong.Add(configerror.Error{What: fmt.Sprintf("CRLIssuers[%d] is nil", i)})
			return
		case !c.IsCA:
			wrong.Add(configerror.Error{What: fmt.Sprintf("CRLIssuers[%d], %s, is not a CA certificate", i, quoteName(&c.Subject)), Hint: "use the certificate of the CA that signs the CRL"})
		}
	}
	for _, a := range v.anchors {
		if a != nil && a.IsCA {
			v.authorities = append(v.authorities, &authority{cert: a, name: dn.Canonical(a.RawSubject), anchors: []string{v.anchorName(a)}})
		}
	}
	own := len(v.authorities)
	for _, c := range issuers {
		if !slices.ContainsFunc(v.anchors, c.Equal) {
			v.authorities = append(v.authorities, &authority{cert: c, name: dn.Canonical(c.RawSubject)})
		}
	}
	below := v.authorities[own:]
	for changed := true; changed; { // at most once for each authority and anchor
		changed = false
		for _, a := range below {
			for _, parent := range v.authorities {
				if parent == a || !issuedBy(a.cert, parent) {
					continue
				}
				for _, anchor := range parent.anchors {
					if !slices.Contains(a.anchors, anchor) {
						a.anchors, changed = append(a.anchors, anchor), true
					}
				}
			}
		}
	}
	for _, a := range below {
		if len(a.anchors) == 0 {
			v.warn(fmt.Sprintf("the CRL issuer %s is not issued under any known anchor", quoteName(&a.cert.Subject)), "add the authorities between them to crl_issuers")
		}
	}
}

// anchorName returns the name of an anchor. Anchors with one name are one authority, but only within
// a SPIFFE trust domain: the authorities of all of them may have the same subject.
func (v *Verifier) anchorName(a *x509.Certificate) string {
	name := dn.Canonical(a.RawSubject)
	if bound := v.domains.anchor[string(a.Raw)]; len(bound) > 0 {
		name += "\x00" + strings.Join(bound, "\x00")
	}
	return name
}

func issuedBy(c *x509.Certificate, parent *authority) bool {
	return parent.name == dn.Canonical(c.RawIssuer) && c.CheckSignatureFrom(parent.cert) == nil
}

// markRevoked finds the authorities and anchors that the CRLs revoke. The CRL of a revoked
// authority no longer shows that a certificate is good, and no chain may end at a revoked
// anchor: the root's CRL also revokes an intermediate that is an anchor beside its root.
func (v *Verifier) markRevoked() {
	if v.revocation == RevocationOff || len(v.crls) == 0 {
		return
	}
	for changed := true; changed; { // at most once for each authority
		changed = false
		for _, a := range v.authorities {
			if !a.revoked && v.revokedByLists(a.cert) {
				a.revoked, changed = true, true
			}
		}
	}
	for _, a := range v.anchors {
		if a != nil && v.revokedByLists(a) {
			v.revokedAnchors[FingerprintOf(a)] = true
			v.warnAnchor(a, fmt.Sprintf("the anchor %s, serial %X, is revoked by the CRL of an authority above it: chains that end at it are refused", quoteName(&a.Subject), a.SerialNumber), "remove it from the anchors")
		}
	}
}

// revokedByLists reports whether the CRL of a configured authority revokes an authority or
// anchor, or every configured authority that issued it. A self-signed certificate is not
// revoked by its own CRL: to revoke an anchor, remove it from the anchors.
func (v *Verifier) revokedByLists(c *x509.Certificate) bool {
	issuers, revoked := 0, 0
	name := dn.Canonical(c.RawIssuer)
	for _, parent := range v.authorities {
		if parent.name != name || bytes.Equal(parent.cert.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo) || c.CheckSignatureFrom(parent.cert) != nil {
			continue
		}
		issuers++
		if parent.revoked {
			revoked++
		}
		for _, l := range v.crls[parent.name] {
			if l.belongsTo(parent) && l.revokes(c.SerialNumber) {
				return true
			}
		}
	}
	return issuers > 0 && revoked == issuers
}

// belongsTo reports whether a list is an authority's: it is signed by the authority's key, or
// by a configured authority of the same name under one of the same anchors (see
// signedByOtherKey).
func (l *crl) belongsTo(a *authority) bool {
	return slices.ContainsFunc(l.authorities, func(k *authority) bool {
		return k == a || slices.ContainsFunc(k.anchors, func(name string) bool { return slices.Contains(a.anchors, name) })
	})
}

// signedByOtherKey reports whether a list that the issuer's own key did not sign still belongs
// to the issuer (RFC 5280 section 6.3.3 (f)): after a CA has changed its key, the old and the
// new key are one authority. applies is true if a configured authority of the issuer's name,
// below an anchor of the given name, signed the list.
//
// showsGood reports whether the list may also show that a certificate is not revoked. It
// fails closed: the list of a replaced key does not cover certificates of its successor, and
// a signer that has expired, is revoked, or is not the one of the list's key identifier
// shows nothing.
func (l *crl) signedByOtherKey(issuer *x509.Certificate, anchor string, now time.Time) (applies, showsGood bool) {
	for _, a := range l.authorities { // these have the issuer's name
		if !slices.Contains(a.anchors, anchor) {
			continue
		}
		applies = true
		showsGood = showsGood || !a.revoked && sameKeyID(l.list.AuthorityKeyId, a.cert.SubjectKeyId) && !a.cert.NotBefore.Before(issuer.NotBefore) && !now.Before(a.cert.NotBefore) && !now.After(a.cert.NotAfter)
	}
	return applies, showsGood
}
