package main

import (
	"crypto/x509"
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// addLog adds the hints about the line itself.
func (h *hinter) addLog() {
	l := h.log
	if l.Outcome == "allow" && l.refused > 0 {
		h.add(hint{Text: fmt.Sprintf("the newest line allows the request, and %s refused: --refused explains the newest refusal", plural(l.refused, "other is", "others are"))})
	}
	if h.changedSince() && l.Outcome == "refuse" && h.explanation.Allowed {
		h.add(hint{Text: "the files have changed since the line: if the request is still refused, the server has not loaded them: look for event=reload in its log"})
	}
}

// addUnknownIssuer adds the hints for an unknown authority of which the line has the name
// alone.
func (h *hinter) addUnknownIssuer() {
	issuer := h.log.Issuer
	if issuer == "" {
		return
	}
	for _, a := range h.port.readAnchors() {
		if escape.Printable(a.Subject.String(), 0) == issuer {
			h.add(hint{Text: "an anchor has the issuer's name now: if it was not added since, another authority uses its name or it has a new key; --cert FILE shows which"})
			return
		}
	}
	h.addOtherPorts(issuer, func(c *x509.Certificate) bool { return escape.Printable(c.Subject.String(), 0) == issuer })
	h.add(hint{Text: "if an anchor issued the issuer's certificate, the client must send that certificate too, after its own: " + issuer})
	h.addExtend("to trust the issuer, add its certificate to the anchors: "+issuer, &h.port.Trust, "anchors", "ISSUER.pem")
}
