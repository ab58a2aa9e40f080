package certmap

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// certificate holds the values of a certificate for explanations.
type certificate struct {
	fingerprint, spki trust.Digest
	serial            string
	uris, dns, emails []string
	subject           dn.Name
	subjectErr        error
	subjectText       string
	issuers           string
	issuerKeys        []trust.Digest // of every CA in the chain
}

func newCertificate(v trust.Verified) *certificate {
	leaf := v.Leaf()
	c := &certificate{
		fingerprint: v.Fingerprint(), spki: v.SPKI(), issuerKeys: trustaccess.IssuerKeys(v),
		uris: san.Values(leaf, san.URI), dns: san.Values(leaf, san.DNS), emails: san.Values(leaf, san.Email),
	}
	if leaf.SerialNumber != nil {
		c.serial = strings.ToUpper(leaf.SerialNumber.Text(16))
	}
	if c.subject, c.subjectErr = dn.FromDER(leaf.RawSubject); c.subjectErr == nil {
		c.subjectText = c.subject.String()
	}
	c.issuers = "no issuer: the certificate is a trust anchor itself"
	if len(c.issuerKeys) > 0 {
		texts := make([]string, len(c.issuerKeys))
		for i, d := range c.issuerKeys {
			if texts[i] = d.String(); v.TrustDomain() != "" && d == trust.TrustDomainIssuer(v.TrustDomain()) {
				texts[i] = san.SPIFFE + v.TrustDomain()
			}
		}
		c.issuers = strings.Join(texts, ", ")
	}
	return c
}

// value returns the values of a kind, escaped.
func (c *certificate) value(k kind) string {
	switch k {
	case byFingerprint:
		return c.fingerprint.String()
	case bySPKI:
		return c.spki.String()
	case bySerial:
		return escape.Quote(c.serial, escape.Short)
	case byURI, byURIPattern:
		return quoteFirst(c.uris)
	case byDNS:
		return quoteFirst(c.dns)
	case byEmail:
		return quoteFirst(c.emails)
	}
	if c.subjectErr != nil {
		return "none"
	}
	return escape.Quote(c.subjectText, escape.Short)
}

// quoteFirst returns the first five texts, quoted, and how many there are more.
func quoteFirst(texts []string) string {
	const most = 5
	switch n := len(texts); {
	case n == 0:
		return "none"
	case n > most:
		return quoteAll(texts[:most]) + fmt.Sprintf(" and %d more", n-most)
	}
	return quoteAll(texts)
}

func quoteAll(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = escape.Quote(t, escape.Short)
	}
	return strings.Join(quoted, ", ")
}

// obstacle returns why no mapping of a kind can match the certificate, or "".
func (c *certificate) obstacle(k kind) string {
	switch k {
	case byURI, byURIPattern:
		if len(c.uris) > 1 {
			return san.ErrManyURIs.Error()
		}
	case bySubject, bySubjectPattern:
		if c.subjectErr != nil {
			return c.subjectErr.Error()
		}
	}
	return ""
}
