package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/useredit"
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
		if name == nil || useredit.Resolve(h.port.file, name.Value) != file {
			continue
		}
		if h.log != nil && h.log.history.fetches[filepath.Base(file)] != nil {
			l := h.log.history.fetches[filepath.Base(file)]
			_, why, _ := strings.Cut(l.Error, "the CRL ")
			h.addSet(fmt.Sprintf("the server cannot fetch that CRL; at %s the CRL %s. Mend the URL, or its server", formatTime(l.Time), why), &t.Fetch[i], "url", `"URL"`)
		}
	}
}
