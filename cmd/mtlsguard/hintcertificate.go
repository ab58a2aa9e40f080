package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/reason"
)

// addUnknownAuthority adds the hints for an unknown authority. It distinguishes a missing
// anchor, missing intermediates, and another authority with an anchor's name.
func (h *hinter) addUnknownAuthority() {
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
	for _, a := range h.port.readAnchors() {
		if bytes.Equal(a.RawSubject, top.RawIssuer) {
			h.add(hint{Text: fmt.Sprintf("the anchor %s has the issuer's name and a different key: the authority has a new key, or another authority uses its name. Compare the keys before you add an anchor", escape.Printable(a.Subject.String(), 0))})
			return
		}
	}
	if bytes.Equal(top.RawSubject, top.RawIssuer) {
		h.add(hint{Text: "the certificate is self-signed, or its chain ends at an authority that is not an anchor: " + escape.Printable(top.Subject.String(), 0)})
	} else {
		h.add(hint{Text: "if an anchor issued the issuer's certificate, the client must send that certificate too, after its own: " + formatIssuer(top)})
	}
	h.addExtend("to trust the issuer, add its certificate to the anchors: "+formatIssuer(top), &h.port.Trust, "anchors", "ISSUER.pem")
}

// addReplaceCertificate adds the hints for certificates that have to be replaced.
func (h *hinter) addReplaceCertificate() {
	o, leaf := &h.explanation, h.leafCertificate()
	renew := hint{Text: "the client needs another certificate; if the mapping is by fingerprint or serial, or by spki and the key is new, map the new certificate too",
		Command: "mtlsguard users add --config " + shellQuote(h.config.path) + " --cert NEW.pem --user NAME"}
	switch o.Reason {
	case reason.NotYetValid:
		h.add(hint{Text: "a clock is wrong, here or at the authority: check it with date -u"})
	case reason.NotALeaf:
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
		h.add(renew)
	default:
		h.add(renew)
	}
}
