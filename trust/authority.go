package trust

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// authority is a certificate that may sign CRLs and is known before any chain shows it:
// an anchor, or one of Config.CRLIssuers.
type authority struct {
	cert    *x509.Certificate
	name    string   // canonical
	anchors []string // canonical names of the anchors that it leads to, its own included
	revoked bool     // by a list of an authority above it
}

// addAuthorities collects the anchors and the configured CRL issuers, and finds out
// which anchors each leads to.
func (v *Verifier) addAuthorities(wrong *errorlist.List, issuers []*x509.Certificate) {
	for i, c := range issuers {
		switch {
		case c == nil:
			wrong.Add(configerror.Error{What: fmt.Sprintf("CRLIssuers[%d] is nil", i)})
			return
		case !c.IsCA:
			wrong.Add(configerror.Error{What: fmt.Sprintf("CRLIssuers[%d], %s, is not the certificate of a CA", i, quote(c.Subject.String())), Hint: "the certificate of the CA that signs the CRL"})
		}
	}
	for _, a := range v.anchors {
		if a != nil && a.IsCA {
			name := dn.Canonical(a.RawSubject)
			v.authorities = append(v.authorities, &authority{cert: a, name: name, anchors: []string{name}})
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
			v.warnings = append(v.warnings, fmt.Sprintf("the CRL issuer %s is not issued under any anchor, as far as is known: name the authorities between in crl_issuers too", quote(a.cert.Subject.String())))
		}
	}
}

func issuedBy(c *x509.Certificate, parent *authority) bool {
	return parent.name == dn.Canonical(c.RawIssuer) && c.CheckSignatureFrom(parent.cert) == nil
}

// markRevoked finds the authorities and the anchors that the lists revoke. The list of a
// revoked CRL issuer shows nothing any more, and no chain may end at a revoked anchor:
// an intermediate that is an anchor beside its root is still revoked by the root's list.
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
			v.warnings = append(v.warnings, fmt.Sprintf("the anchor %s, serial %X, is revoked by the CRL of an authority above it: no chain that ends at it is trusted; take it out of the anchors", quote(a.Subject.String()), a.SerialNumber))
		}
	}
}

// revokedByLists reports whether a list of a known authority revokes an authority or
// anchor, or every known authority that issued it. Nothing that signed itself is revoked
// by its own list: only taking it out of the anchors does that.
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

// isOf reports whether a list is an authority's: its own key signed it, or that of a known
// authority of its name under one of its anchors (see byOtherKey).
func (l *crl) belongsTo(a *authority) bool {
	return slices.ContainsFunc(l.authorities, func(k *authority) bool {
		return k == a || slices.ContainsFunc(k.anchors, func(name string) bool { return slices.Contains(a.anchors, name) })
	})
}

// byOtherKey reports whether a list that the issuer's own key did not sign is of the same
// authority all the same (RFC 5280 section 6.3.3 (f)): signed by a known authority of the
// issuer's name that leads to an anchor of the given name. After a change of the CA's key
// the old and the new one are one authority.
//
// good reports whether the list may also show that a certificate is not revoked. It
// fails closed: the list of a key that was replaced knows nothing of what its successor
// issued, and a signer that has ended or is revoked, or that is not the one that the
// list's key identifier names, shows nothing.
func (l *crl) signedByOtherKey(issuer *x509.Certificate, anchor string, now time.Time) (speaks, good bool) {
	for _, a := range l.authorities { // of the issuer's name: the list was looked up by it
		if !slices.Contains(a.anchors, anchor) {
			continue
		}
		speaks = true
		good = good || !a.revoked && sameKeyID(l.list.AuthorityKeyId, a.cert.SubjectKeyId) && !a.cert.NotBefore.Before(issuer.NotBefore) && !now.Before(a.cert.NotBefore) && !now.After(a.cert.NotAfter)
	}
	return speaks, good
}
