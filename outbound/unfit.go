package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// maxNames bounds the names of authorities in an error.
const maxNames = 5

// askedFor returns which authorities a certificate request lists, for an error: "" without a
// list, and if the list has an issuer of the chain. The names come from the server.
func askedFor(request *tls.CertificateRequestInfo, identity *Credential) string {
	if len(request.AcceptableCAs) == 0 {
		return ""
	}
	issuer := ""
	if identity != nil {
		for _, der := range identity.pair.Certificate {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				continue
			}
			wanted := dn.Canonical(c.RawIssuer) // once: a server may list thousands of names
			if slices.ContainsFunc(request.AcceptableCAs, func(name []byte) bool { return dn.Canonical(name) == wanted }) {
				return ""
			}
			issuer = nameOf(c.RawIssuer)
		}
	}
	var names []string
	for _, der := range request.AcceptableCAs[:min(maxNames, len(request.AcceptableCAs))] {
		names = append(names, nameOf(der))
	}
	out := "it requested certificates of " + strings.Join(names, ", ")
	if more := len(request.AcceptableCAs) - len(names); more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	if issuer != "" {
		out += ", and " + issuer + " is none of these"
	}
	return out
}

// nameOf returns a name in DER as text, escaped and cut off.
func nameOf(der []byte) string {
	if name, err := dn.FromDER(der); err == nil {
		return escape.Printable(name.String(), escape.Short)
	}
	var rdns pkix.RDNSequence // of a name that dn rejects: too long, or with control characters
	if _, err := asn1.Unmarshal(der, &rdns); err != nil {
		return "a name that cannot be read"
	}
	var name pkix.Name
	name.FillFromRDNSequence(&rdns)
	return escape.Printable(dn.Print(&name), escape.Short)
}

// describe returns subject and issuer of the certificate, for an error.
func (c *Credential) describe() string {
	return nameOf(c.pair.Leaf.RawSubject) + ", issued by " + nameOf(c.pair.Leaf.RawIssuer)
}
