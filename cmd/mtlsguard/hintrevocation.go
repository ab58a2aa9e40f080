package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// addRevocationUnknown names the CRL that does not count and the fetch that fails, or adds a
// CRL where there is none.
func (h *hinter) addRevocationUnknown() {
	p, detail := h.port, h.explanation.Detail
	loaded := p.loadedCRLs(h.chain, detail)
	if strings.HasPrefix(detail, "no CRL") {
		loaded = nil
	}
	for _, l := range loaded {
		h.addFailedFetch(l.file)
		h.add(hint{Text: "a CRL of the issuer is there, at " + l.String() + ", and does not count: " + detail + ". Put the issuer's newest CRL in its place", File: l.file,
			Command: "mv ISSUER.crl " + shellQuote(l.file)})
	}
	if len(loaded) == 0 {
		h.addExtend("add a current CRL of the issuer, and of every other authority between the leaf and its anchor", &p.Trust, "crls", "ISSUER.crl")
	}
	h.addSet("or accept certificates with an unknown revocation status", &p.Trust, "revocation", "soft")
}

// addFailedFetch names the URL of a file that the server cannot fetch.
func (h *hinter) addFailedFetch(file string) {
	var t struct{ Fetch []yaml.Node }
	_ = h.port.Trust.Decode(&t) // mtlsguard.Open reports errors
	for i := range t.Fetch {
		name := valueOf(&t.Fetch[i], "file")
		if name == nil || resolvePath(h.port.file, name.Value) != file {
			continue
		}
		if h.log != nil && h.log.history.fetches[filepath.Base(file)] != nil {
			l := h.log.history.fetches[filepath.Base(file)]
			_, why, _ := strings.Cut(l.Error, "the CRL ")
			h.addSet(fmt.Sprintf("the server cannot fetch that CRL; at %s the CRL %s. Mend the URL, or its server", formatTime(l.Time), why), &t.Fetch[i], "url", `"URL"`)
		}
	}
}

// addTrustIssuer adds an anchor, and a CRL of it where the port refuses certificates without
// one.
func (h *hinter) addTrustIssuer(text string) {
	var t struct {
		CRLs       []string
		Revocation string
		OCSP       yaml.Node
	}
	_ = h.port.Trust.Decode(&t) // mtlsguard.Open reports errors
	if t.Revocation == "off" || t.Revocation == "soft" || len(t.CRLs) == 0 {
		h.addExtend(text, &h.port.Trust, "anchors", "ISSUER.pem")
		return
	}
	both := text + ", and its CRL to the crls: without one its certificates are refused as revocation-unknown"
	for _, e := range h.config.lines.extendBoth(&h.port.Trust, [2]string{"anchors", "ISSUER.pem"}, [2]string{"crls", "ISSUER.crl"}) {
		h.add(hint{Text: both, File: h.config.path, Line: e.line, Write: e.text, New: e.add})
	}
}

// addRenewedAuthority is for an issuer that has an anchor's name and another key. The names
// prove nothing: somebody has to compare the keys.
func (h *hinter) addRenewedAuthority(issuer, what string) {
	h.add(hint{Text: what + ". Ask the authority for the certificate of its new key, and compare the keys before you add an anchor. A mapping with that issuer is for the old key: it needs a copy with issuer ISSUER.pem"})
	h.addTrustIssuer("if the new key is the authority's, trust the issuer: add its certificate to the anchors, beside the old one: " + issuer)
}
