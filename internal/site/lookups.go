package site

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// warnLookups warns about a trust that looks up no CRL of an anchor, while another one does:
// a certificate that the one refuses as revoked gets in through the other. A trust with
// revocation: off in the file is silent.
func (l *loader) warnLookups(g *Generation) {
	var all []*Trust
	for _, p := range g.AllPorts() {
		all = append(all, p.Trusts()...)
	}
	for _, t := range all {
		if t.off || trustaccess.Revocation(t.Verifier) == trust.RevocationHard { // hard refuses them all: package trust warns
			continue
		}
		for _, anchor := range t.Verifier.Anchors() {
			if !anchor.IsCA || trustaccess.LooksUp(t.Verifier, anchor) {
				continue
			}
			for _, other := range all {
				if same := other.anchor(anchor); same == nil || !trustaccess.LooksUp(other.Verifier, same) {
					continue
				}
				l.warn("trust", configerror.Error{File: l.path, Line: t.line},
					fmt.Sprintf("%s trusts %s and looks up no CRL; %s does: a certificate that is refused there as revoked is accepted here", t.where, t.names[string(anchor.Raw)], other.where),
					other.lookup(anchor)+" in this trust too, or revocation: off to accept revoked certificates here")
				break
			}
		}
	}
}

// anchor returns the anchor of t with the name and key of a certificate, or nil.
func (t *Trust) anchor(c *x509.Certificate) *x509.Certificate {
	for _, a := range t.Verifier.Anchors() {
		if bytes.Equal(a.RawSubject, c.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo) {
			return a
		}
	}
	return nil
}

// lookup returns the setting by which t looks up the certificates of an anchor.
func (t *Trust) lookup(anchor *x509.Certificate) string {
	for _, state := range trustaccess.CurrentCRLs(t.Verifier) {
		if state.List.CheckSignatureFrom(anchor) == nil {
			return "crls: [" + t.names[string(state.List.Signature)] + "]"
		}
	}
	if t.asks.client != nil {
		return "ocsp: {…}"
	}
	return "crls: […]"
}
