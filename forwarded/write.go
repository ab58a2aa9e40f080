package forwarded

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
)

// Write sets the headers of a gateway that forwards a certificate, leaf first, with its
// issuers where the format has a place for them. It is for tests of a service behind a
// gateway, and for explanations: without a gateway's connection the headers prove
// nothing. For an empty chain it sets what the gateway sends for a client without a certificate. It
// sets nothing for the zero Topology.
func (t Topology) Write(h http.Header, chain []*x509.Certificate) {
	if t.format == nil {
		return
	}
	if len(chain) == 0 {
		t.writeNone(h)
		return
	}
	leaf := chain[0].Raw
	switch t.format {
	case &rfc9440, &google:
		h.Set(t.cert, encodeSequence(leaf))
		var issuers []string
		for _, c := range chain[1:] {
			issuers = append(issuers, encodeSequence(c.Raw))
		}
		if issuers != nil {
			h.Set(t.chain, strings.Join(issuers, ", "))
		}
	case &haproxy:
		h.Set(t.cert, base64.StdEncoding.EncodeToString(leaf))
		var issuers bytes.Buffer
		for _, c := range chain[1:] {
			issuers.Write(c.Raw)
		}
		if issuers.Len() > 0 {
			h.Set(t.chain, base64.StdEncoding.EncodeToString(issuers.Bytes()))
		}
	case &traefik:
		var all []string
		for _, c := range chain {
			all = append(all, base64.StdEncoding.EncodeToString(c.Raw))
		}
		h.Set(t.cert, strings.Join(all, ","))
	case &envoy:
		h.Set(t.cert, `Cert="`+encodeEscapedPEM(leaf)+`"`)
	case &nginx, &apache, &awsALB, &webMethods:
		h.Set(t.cert, encodeEscapedPEM(leaf))
	default:
		h.Set(t.cert, base64.StdEncoding.EncodeToString(leaf))
	}
	if t.verified != "" {
		h.Set(t.verified, t.yes)
	}
}

// writeNone sets the headers for a client without a certificate.
func (t Topology) writeNone(h http.Header) {
	if t.format.always {
		h.Set(t.cert, "")
	}
	switch {
	case t.verified == "":
	case t.format.none != "":
		h.Set(t.verified, t.format.none)
	case t.format.always:
		h.Set(t.verified, t.yes) // this product reports the same result with and without a certificate
	}
}

func encodeSequence(der []byte) string { return ":" + base64.StdEncoding.EncodeToString(der) + ":" }

func encodeEscapedPEM(der []byte) string {
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}
