package main

import (
	"cmp"
	"crypto/x509"
	"net/http"
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard/trust"
)

// addUntrustedGateway adds the fingerprint of the connection's certificate to the gateways.
func (h *hinter) addUntrustedGateway() {
	digest := ""
	if h.leaf != nil {
		digest = trust.FingerprintOf(h.leaf).String()
	} else if h.log != nil {
		digest = h.log.Gateway
	}
	if digest != "" {
		forwarded := &h.port.Forwarded
		h.addExtend("if this certificate is the gateway's, add its fingerprint", cmp.Or(valueOf(forwarded, "gateway"), forwarded), "fingerprints", strconv.Quote(digest))
	}
	h.add(hint{Text: "users are refused on this port if they connect without the gateway"})
}

// addUnknownGateway is for a connection to a port for gateways whose certificate has an unknown
// issuer: more often a user's than a gateway's.
func (h *hinter) addUnknownGateway() {
	text := "this port is for gateways: give the gateway's own certificate with --cert, and the user's with --forwarded"
	if h.log != nil {
		text = "this port is for gateways, and it does not trust this client as one: users must connect to the gateway"
	}
	h.add(hint{Text: text, File: h.config.path, Line: h.port.Forwarded.Line})
}

// addBadHeader distinguishes a header that the gateway forgot from one in another format.
func (h *hinter) addBadHeader() {
	topology, err := h.config.port(h.explanation.Port).topology()
	sample, leaf := http.Header{}, h.leaf
	if anchors := h.port.readAnchors(); leaf == nil && len(anchors) > 0 {
		leaf = anchors[0] // any certificate shows which header is the long one
	}
	if err == nil && leaf != nil {
		topology.Write(sample, []*x509.Certificate{leaf})
	}
	name := "" // of the header with the certificate, which is the longest
	for key := range sample {
		if name == "" || len(sample.Get(key)) > len(sample.Get(name)) {
			name = key
		}
	}
	missing := len(h.request.Header[http.CanonicalHeaderKey(name)]) == 0
	if h.log != nil && h.leaf == nil {
		missing = strings.Contains(h.explanation.Detail, name+" is missing")
	}
	if name != "" && missing {
		line := ""
		var f struct{ Format string }
		_ = h.port.Forwarded.Decode(&f) // mtlsguard.Open reports errors
		switch f.Format {
		case "nginx":
			line = ": proxy_set_header " + name + " $ssl_client_escaped_cert;"
		case "haproxy":
			line = ": http-request set-header " + name + " %[ssl_c_der,base64]"
		case "apache":
			line = `: RequestHeader set ` + name + ` "expr=%{escape:%{SSL_CLIENT_CERT}}"`
		}
		h.add(hint{Text: "the gateway did not send the header " + name + "; the line belongs into the gateway's configuration (docs/gateways.md)" + line})
		return
	}
	h.addSet("set format to the gateway's header format; docs/gateways.md has the configurations of both sides", &h.port.Forwarded, "format", "FORMAT")
}
