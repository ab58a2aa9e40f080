package main

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/probe"
	"github.com/mtlsguard/mtlsguard/reason"
)

// otherClients returns which clients would send no certificate where a probe sends it, and
// the remedy. A probe, as curl and Go do with one certificate, sends it whatever the server
// lists. Java and .NET choose, and without a match they send none, without an error:
//
//   - Java's key managers want the issuer of any certificate of the keystore's chain in the
//     list, and a key of a type that the server takes.
//   - .NET wants the same of the chain that the system builds. The system finds intermediates
//     in its store and not in the file.
func otherClients(r *probe.Report, pair *tls.Certificate) (warnings, hints []string) {
	if !r.Sent || pair == nil {
		return nil, nil
	}
	if r.WrongKey != nil {
		return []string{"Java and .NET would send no certificate: the server takes no signature by its key: " + escape.Printable(r.WrongKey.Error(), 0)},
			[]string{"use a certificate with a key of another type (RSA or ECDSA), or let the server take more signature algorithms"}
	}
	chain := parseChain(pair)
	listed := slices.IndexFunc(chain, func(c *x509.Certificate) bool {
		return slices.ContainsFunc(r.Authorities, func(name []byte) bool { return dn.Equal(name, c.RawIssuer) })
	})
	switch {
	case len(r.Authorities) == 0 || listed == 0 || len(chain) == 0:
		return nil, nil
	case listed > 0:
		issuer := formatIssuer(chain[0])
		return []string{".NET would send no certificate unless the intermediate " + issuer + " is in the system's store: it builds the chain from there, and the server lists " + formatIssuer(chain[listed])},
			[]string{"on a client with .NET, add the certificate of " + issuer + " to the store CertificateAuthority (on Windows: Intermediate Certification Authorities); Java sends the chain of the keystore"}
	}
	last := formatIssuer(chain[len(chain)-1])
	warnings = []string{"Java and .NET would send no certificate: the issuer " + last + " is not among the authorities that the server lists: " + strings.Join(authorityNames(r), "; ")}
	if r.Reason == reason.UnknownAuthority {
		return warnings, nil // probeHints has the remedy
	}
	if dn.Equal(chain[len(chain)-1].RawSubject, chain[len(chain)-1].RawIssuer) {
		return warnings, []string{"add the certificate of " + last + " to the anchors of the server, or use a certificate of an authority that it lists"}
	}
	return warnings, []string{
		"if one of these authorities has issued the certificate of " + last + ", put that certificate after the leaf in the file of --cert (for .NET: into the system's store CertificateAuthority); " +
			"otherwise add it to the anchors of the server, or use a certificate of an authority that it lists",
	}
}

// parseChain returns the certificates of a pair that can be read.
func parseChain(pair *tls.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, der := range pair.Certificate {
		if c, err := x509.ParseCertificate(der); err == nil {
			out = append(out, c)
		}
	}
	return out
}
