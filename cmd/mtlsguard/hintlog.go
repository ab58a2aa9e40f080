package main

import (
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/dn"
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
			h.addRenewedAuthority(issuer, "an anchor has the issuer's name now: if it was not added since, the authority has a new key, or another authority uses its name", a)
			return
		}
	}
	h.addOtherPorts(issuer, func(c *x509.Certificate) bool { return escape.Printable(dn.Print(&c.Subject), 0) == issuer })
	h.add(hint{Text: "if an anchor issued the issuer's certificate, the client must send that certificate too, after its own: " + issuer})
	h.addTrustIssuer("to trust the issuer, add its certificate to the anchors: " + issuer)
}

// addRenewed is for a certificate with the subject and the issuer of an earlier one, which
// a mapping still maps. The new mapping has the ports and the end of that one.
func (h *hinter) addRenewed(old *logLine, m *certmap.Mapping) {
	args := " --user " + shellQuote(old.User)
	if len(m.Ports) > 0 {
		args += " --ports " + shellQuote(strings.Join(m.Ports, ","))
	}
	if !m.NotAfter.IsZero() {
		args += " --not-after " + formatTime(m.NotAfter)
	}
	h.add(hint{Text: fmt.Sprintf("the certificate was probably renewed: at %s another one of the same subject and issuer was user %s, by mapping %s. Map the new one too", formatTime(old.Time), old.User, old.Mapping),
		File: h.config.users, Command: h.usersCommand("add", "--fingerprint "+shellQuote(h.log.Fingerprint)+args)})
	if h.log.SPKI != "" {
		h.add(hint{Text: "or map its key: the mapping then survives renewals that keep the key", File: h.config.users,
			Command: h.usersCommand("add", "--spki "+shellQuote(h.log.SPKI)+args)})
	}
}

// addLimit raises the limit of connections for each address.
func (h *hinter) addLimit() {
	limit := 0
	if _, text, ok := strings.Cut(h.explanation.Detail, "limits.connections_per_ip is "); ok {
		limit, _ = strconv.Atoi(text)
	}
	if limit == 0 {
		h.add(hint{Text: "docs/reasons.md#limit describes this reason"})
		return
	}
	text := "let the client use its connections again, or close them; if it needs more, raise connections_per_ip. Many users may share the address of a gateway or a NAT"
	if limits := valueOf(&h.port.node, "limits"); limits != nil {
		h.addSet(text, limits, "connections_per_ip", strconv.Itoa(2*limit))
		return
	}
	h.addSet(text, &h.port.node, "limits", fmt.Sprintf("{connections_per_ip: %d}", 2*limit))
}
