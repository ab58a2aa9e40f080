package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
)

// addUnknownAuthority adds the hints for an unknown authority. It distinguishes a missing
// anchor, missing intermediates, and another authority with an anchor's name.
func (h *hinter) addUnknownAuthority() {
	if h.port.isForwarded() && h.explanation.Refused {
		h.addUnknownGateway()
		return
	}
	chain := h.chain
	if len(chain) == 0 {
		if h.log != nil {
			h.addUnknownIssuer()
		}
		return
	}
	top := chain[0] // the last certificate of the path that begins at the leaf
	for again := true; again; {
		again = false
		for _, c := range chain[1:] {
			if !c.Equal(top) && bytes.Equal(c.RawSubject, top.RawIssuer) && top.CheckSignatureFrom(c) == nil && !bytes.Equal(top.RawSubject, top.RawIssuer) {
				top, again = c, true
				break
			}
		}
	}
	if domain := h.port.trustDomainOf(chain[0]); domain != "" {
		h.add(hint{Text: fmt.Sprintf("the certificate has a SPIFFE ID of %q, and no authority of that trust domain's bundle issued it: have it issued there. If the authority is a new one of %q, renew the bundle in trust_domains", domain, domain), File: h.config.path, Line: h.port.trustLine})
		return // no hint to add the authority to anchors: as one of them it verifies no certificate of a trust domain
	}
	h.addOtherPorts(formatIssuer(top), func(c *x509.Certificate) bool {
		return trustaccess.WhyNotIssuer(top, c) == "" && bytes.Equal(c.RawSubject, top.RawIssuer)
	})
	for _, a := range h.port.placedAnchors() {
		why := trustaccess.WhyNotIssuer(top, a.Cert)
		if why == "" {
			continue
		}
		if strings.HasSuffix(why, "another key") {
			h.addRenewedAuthority(formatIssuer(top), fmt.Sprintf("%s:%d: the anchor %s %s: the authority has a new key, or another authority uses its name", a.file, a.Line, escape.Printable(dn.Print(&a.Cert.Subject), 0), why), a.Cert)
			return
		}
		advice := "have the authority issue the certificate with the name exactly as in the anchor, or reissue the anchor with the name in the certificate"
		h.add(hint{Text: fmt.Sprintf("%s:%d: the anchor %s %s: %s", a.file, a.Line, escape.Printable(dn.Print(&a.Cert.Subject), 0), why, advice)})
		return
	}
	if bytes.Equal(top.RawSubject, top.RawIssuer) {
		h.add(hint{Text: "the certificate is self-signed, or its chain ends at an authority that is not an anchor: " + escape.Printable(dn.Print(&top.Subject), 0)})
	} else {
		h.add(hint{Text: "if an anchor issued the issuer's certificate, the client must send that certificate too, after its own: " + formatIssuer(top)})
	}
	h.addTrustIssuer("to trust the issuer, add its certificate to the anchors: " + formatIssuer(top))
}

// trustDomainOf returns the trust domain of the port that a certificate has a SPIFFE ID of, or "".
func (p configPort) trustDomainOf(c *x509.Certificate) string {
	for _, uri := range san.Values(c, san.URI) {
		rest, ok := strings.CutPrefix(uri, san.SPIFFE)
		if domain, _, _ := strings.Cut(rest, "/"); ok && slices.Contains(p.trustDomains, domain) {
			return domain
		}
	}
	return ""
}

// addOtherPorts adds the hint for a client that calls the wrong port: other ports trust the
// issuer of its certificate. Ports behind a gateway are left out, as no client calls them.
func (h *hinter) addOtherPorts(issuer string, isIssuer func(*x509.Certificate) bool) {
	var names []string
	for _, p := range h.config.ports {
		if p.Name != h.port.Name && !p.isForwarded() && slices.ContainsFunc(p.readAnchors(), isIssuer) {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	text := "port " + names[0] + " trusts"
	if len(names) > 1 {
		text = "ports " + strings.Join(names, ", ") + " trust"
	}
	h.add(hint{Text: text + " the issuer " + issuer + ", and port " + h.port.Name + " does not: if the client calls the wrong port, change nothing here"})
}

// addNoCertificate is for a caller without a certificate, where the port or the policy needs one.
func (h *hinter) addNoCertificate() {
	h.add(hint{Text: "the client must send a certificate: check that its configuration names one, and that the issuer is among the authorities that the server lists", Command: "mtlsguard inspect HOST:PORT"})
	if !h.explanation.Refused {
		h.addSet("or make anonymous callers the user Default; the policy must then allow the request for Default", &h.port.node, "strict", "false")
	}
}

// addWrongUsage is for a certificate that is not for clients.
func (h *hinter) addWrongUsage() {
	h.add(hint{Text: "the client needs a certificate for client authentication: extendedKeyUsage=clientAuth, and keyUsage=digitalSignature if there is one"})
	leaf := h.leafCertificate()
	if (leaf == nil || len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0) && strings.Contains(h.explanation.Detail, "has no extended key usage") {
		h.addSet("or profile compatible accepts every certificate without an extended key usage", &h.port.Trust, "profile", "compatible")
	}
}

// addReplaceCertificate adds the hints for certificates that have to be replaced.
func (h *hinter) addReplaceCertificate() {
	o, leaf := &h.explanation, h.leafCertificate()
	renew := hint{Text: "the client needs another certificate; if the mapping is by fingerprint or serial, or by spki and the key is new, map the new certificate too",
		Command: "mtlsguard users add --config " + shellQuote(h.config.path) + " --cert NEW.pem --user " + h.mappedUser()}
	switch o.Reason {
	case reason.NotYetValid:
		h.add(hint{Text: "a clock is wrong, here or at the authority: check it with date -u. If this one is right, wait until the certificate is valid, or let the client renew it"})
		h.add(renew)
	case reason.NotALeaf:
		if leaf != nil && leaf.IsCA && bytes.Equal(leaf.RawSubject, leaf.RawIssuer) {
			h.addSelfSigned(leaf)
			return
		}
		h.add(hint{Text: "the client presents an authority's certificate: put the client's own certificate first in its file"})
		if leaf != nil && leaf.IsCA {
			return
		}
		h.add(renew)
	case reason.WeakKey:
		if (leaf == nil || leaf.PublicKeyAlgorithm == x509.RSA) && strings.Contains(o.Detail, "8192") {
			h.add(renew)
			h.addSet("or profile compatible accepts RSA keys of up to 8192 bits", &h.port.Trust, "profile", "compatible")
			return
		}
		if strings.Contains(o.Detail, "not supported") || strings.Contains(o.Detail, "unsupported") {
			h.add(hint{Text: "these keys are supported: " + algorithm.SupportedKeys + "; and these signatures: " + algorithm.SupportedSignatures})
		}
		h.add(renew)
	default:
		h.add(renew)
	}
}

// addRevoked adds the command that proves the revocation.
func (h *hinter) addRevoked() {
	h.addReplaceCertificate()
	h.addProof()
}

// addProof adds the command that shows the list that revokes the certificate.
func (h *hinter) addProof() {
	of := ""
	switch {
	case h.file != "":
		of = "--cert " + shellQuote(h.file)
	case h.log != nil && h.log.Serial != "":
		for _, a := range h.port.placedAnchors() {
			if escape.Printable(dn.Print(&a.Cert.Subject), 0) == h.log.Issuer {
				of = "--serial " + shellQuote(h.log.Serial) + " --issuer " + shellQuote(a.file)
			}
		}
	}
	if of != "" {
		h.add(hint{Text: "to see on which ports it is revoked, by which list and since when", Command: "mtlsguard revoked --config " + shellQuote(h.config.path) + " " + of})
	}
}

// mappedUser returns the user that the certificate of the line is mapped to, or NAME.
func (h *hinter) mappedUser() string {
	for _, s := range h.explanation.Mapping {
		if s.Result == mapresult.Matches && s.User != "" {
			return shellQuote(s.User)
		}
	}
	return "NAME"
}

// addSelfSigned adds the hint for a self-signed client certificate that is a CA, as openssl
// req -x509 makes it. The command keeps the key, the subject and the alternative names.
func (h *hinter) addSelfSigned(leaf *x509.Certificate) {
	extensions := []string{"basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature", "extendedKeyUsage=clientAuth"}
	if names := alternativeNames(leaf); names != "" {
		extensions = append(extensions, "subjectAltName="+names)
	}
	file := h.file
	if file == "" {
		file = "CLIENT.pem"
	}
	h.add(hint{
		Text:    "the certificate is self-signed and a CA (CA:TRUE), as openssl req -x509 makes it: make one with CA:FALSE of the same key, let the client send it, and put it into anchors in place of the old one",
		Command: "printf '%s\\n' " + quoteAll(extensions) + " | openssl x509 -in " + shellQuote(file) + " -signkey KEY.pem -clrext -extfile /dev/stdin -sha256 -days 397 -out NEW.pem",
	})
}

// alternativeNames returns the alternative names of a certificate as openssl writes them, as
// far as they need no quotes.
func alternativeNames(c *x509.Certificate) string {
	var out []string
	add := func(kind, value string) {
		if value != "" && strings.Trim(strings.ToLower(value), "abcdefghijklmnopqrstuvwxyz0123456789.-_*@:/") == "" {
			out = append(out, kind+":"+value)
		}
	}
	for _, n := range c.DNSNames {
		add("DNS", n)
	}
	for _, n := range c.EmailAddresses {
		add("email", n)
	}
	for _, n := range c.URIs {
		add("URI", n.String())
	}
	for _, n := range c.IPAddresses {
		add("IP", n.String())
	}
	return strings.Join(out, ",")
}

// quoteAll returns words of the shell.
func quoteAll(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, shellQuote(w))
	}
	return strings.Join(out, " ")
}
