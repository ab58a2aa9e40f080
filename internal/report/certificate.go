// Package report holds the JSON of explain and inspect, which the command and the admin page
// share, and how both print a certificate.
package report

import (
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Certificate describes a certificate. Its texts are escaped.
type Certificate struct {
	Subject     string `json:"subject"`
	Issuer      string `json:"issuer"`
	Serial      string `json:"serial"`
	Fingerprint string `json:"fingerprint"`
	NotBefore   string `json:"not_before,omitempty"` // absent where only a log line is known
	NotAfter    string `json:"not_after,omitempty"`
}

// NewCertificate returns the description of a certificate.
func NewCertificate(c *x509.Certificate) *Certificate {
	return &Certificate{
		Subject: Subject(c), Issuer: Issuer(c), Serial: useredit.Serial(c), Fingerprint: trust.FingerprintOf(c).String(),
		NotBefore: Time(c.NotBefore), NotAfter: Time(c.NotAfter),
	}
}

// Subject returns a subject as users.yaml writes it. A subject that no mapping can name is
// escaped.
func Subject(c *x509.Certificate) string {
	if n, err := dn.FromDER(c.RawSubject); err == nil {
		return n.String()
	}
	return escape.Printable(dn.Print(&c.Subject), 0)
}

// Issuer returns an issuer, escaped.
func Issuer(c *x509.Certificate) string { return escape.Printable(dn.Print(&c.Issuer), 0) }

// Time returns a time in UTC, as RFC 3339 writes it.
func Time(t time.Time) string { return t.UTC().Format(time.RFC3339) }
