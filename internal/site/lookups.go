package site

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

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
					t.lookupHint(all, other, anchor)+", or revocation: off to accept revoked certificates here")
				break
			}
		}
	}
}

// lookupHint returns the setting by which t looks up what other does. A trust that begins to
// look up CRLs is hard, and refuses the certificates of every anchor without a CRL: so the
// hint names the CRLs of all anchors, as far as another trust has them.
func (t *Trust) lookupHint(all []*Trust, other *Trust, anchor *x509.Certificate) string {
	if other.crlFile(anchor) == "" || trustaccess.Revocation(t.Verifier) != trust.RevocationOff {
		return other.lookup(anchor) + " in this trust too"
	}
	var files, without []string
	for _, a := range t.Verifier.Anchors() {
		file := ""
		for _, o := range all {
			if file == "" && o.anchor(a) != nil {
				file = o.crlFile(a)
			}
		}
		switch {
		case file != "" && !slices.Contains(files, file):
			files = append(files, file)
		case file == "" && a.IsCA && !slices.Contains(without, t.names[string(a.Raw)]):
			without = append(without, t.names[string(a.Raw)])
		}
	}
	hint := "crls: [" + strings.Join(files, ", ") + "] in this trust too"
	if len(without) > 0 {
		hint += ", with the newest CRL of " + strings.Join(without, " and of ") + " (certificates of an authority without a CRL are refused then)"
	}
	return hint
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
	switch file := t.crlFile(anchor); {
	case file != "":
		return "crls: [" + file + "]"
	case t.asks.client != nil:
		return "ocsp: {…}"
	}
	return "crls: […]"
}

// crlFile returns the file of the CRL of an anchor, as the configuration names it, or "".
func (t *Trust) crlFile(anchor *x509.Certificate) string {
	for _, state := range trustaccess.CurrentCRLs(t.Verifier) {
		if state.SignedBy(anchor) {
			return t.names[string(state.List.Signature)]
		}
	}
	return ""
}
