package main

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

// addTrustIssuer adds an anchor, and a CRL of it where the port refuses certificates without
// one.
func (h *hinter) addTrustIssuer(text string) {
	var t struct {
		CRLs       []string
		Revocation string
	}
	_ = h.port.Trust.Decode(&t) // mtlsguard.Open reports errors
	if t.Revocation == "off" || t.Revocation == "soft" || len(t.CRLs) == 0 {
		h.addExtend(text, &h.port.Trust, "anchors", "ISSUER.pem")
		return
	}
	both := text + ", and its CRL to the crls: without one its certificates are refused as revocation-unknown"
	edits := h.config.lines.extendBoth(&h.port.Trust, [2]string{"anchors", "ISSUER.pem"}, [2]string{"crls", "ISSUER.crl"})
	if edits == nil {
		h.add(hint{Text: both + " (anchors: ISSUER.pem, crls: ISSUER.crl)", File: h.config.path, Line: h.port.trustLine})
	}
	for _, e := range edits {
		h.add(hint{Text: both, File: h.config.path, Line: e.line, Write: e.text, New: e.add})
	}
}

// addRenewedAuthority is for an issuer that has the name of an anchor and another key. Names
// prove nothing: an operator has to compare the keys.
func (h *hinter) addRenewedAuthority(issuer, what string, anchor *x509.Certificate) {
	h.add(hint{Text: what + ". Ask the authority for the certificate of its new key, and compare the keys before you add an anchor"})
	h.addIssuerCopies(trust.SPKIOf(anchor)) // before the anchor, so that a disabled user is disabled when the anchor takes effect
	h.addTrustIssuer("if the new key is the authority's, trust it: add its certificate to the anchors, beside the old one: " + issuer)
}

// maxIssuerCopies bounds the copied mappings. More are left to an editor.
const maxIssuerCopies = 20

// addIssuerCopies adds a copy for the new key of each mapping that is for the old key of its
// issuer. A disabled mapping is copied too: otherwise a pattern would map its certificates.
func (h *hinter) addIssuerCopies(old trust.Digest) {
	var of []certmap.Mapping
	for _, m := range h.mappings {
		if m.Issuer == old && useredit.NewMapping(m).Kind != "serial" { // the new key has serial numbers of its own
			of = append(of, m)
		}
	}
	if len(of) > maxIssuerCopies || h.mappings == nil || slices.ContainsFunc(of, func(m certmap.Mapping) bool { return usersfile.IsJSONLines(m.File) }) {
		h.add(hint{Text: "a mapping whose issuer is the old key needs a copy with issuer ISSUER.pem, and so does each that is disabled", File: h.config.users})
		return
	}
	slices.SortFunc(of, func(a, b certmap.Mapping) int { return cmp.Compare(b.Line, a.Line) }) // the last line first: a new line moves those after it
	for _, m := range of {
		h.add(hint{Text: fmt.Sprintf("if the new key is the authority's, mapping %s needs a copy for it", m.ID), File: m.File, Line: m.Line, New: true, Write: issuerCopy(m, h.mappings)})
	}
}

// issuerCopy returns a mapping as a line, with another id and issuer.
func issuerCopy(m certmap.Mapping, all []certmap.Mapping) string {
	d := useredit.NewMapping(m)
	fields := useredit.Fields(useredit.UnusedID(m.ID, all), m.User, d.Kind, d.Value, "ISSUER.pem")
	if len(m.Ports) > 0 {
		fields = append(fields, usersfile.Field{Key: "ports", List: m.Ports})
	}
	if !m.NotBefore.IsZero() {
		fields = append(fields, usersfile.Field{Key: "not_before", Text: formatTime(m.NotBefore)})
	}
	if !m.NotAfter.IsZero() {
		fields = append(fields, usersfile.Field{Key: "not_after", Text: formatTime(m.NotAfter)})
	}
	if m.Disabled {
		fields = append(fields, usersfile.Field{Key: "disabled", Text: "true", Bool: true})
	}
	return usersfile.Format(m.File, fields)
}
