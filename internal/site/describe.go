package site

import (
	"crypto/x509"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Gateways are those that may forward certificates to a port, or that this server dials.
type Gateways struct {
	Format  string   // of the headers; empty for gateways that this server dials
	Headers []string // that are read
	Names   []string
	Pins    []trust.Digest
	Addrs   []string // that this server dials
}

// CallersAnchors returns the files of the anchors of the callers' certificates.
func (p *Port) CallersAnchors() []string {
	t := &p.users
	if p.Guard.Forwarded == nil {
		t = &p.clients
	}
	if t.Verifier == nil {
		return nil
	}
	var out []string
	for _, a := range t.Verifier.Anchors() {
		out = append(out, t.AnchorFile(a))
	}
	return out
}

// AnchorFile returns the file of an anchor of the verifier.
func (t *Trust) AnchorFile(anchor *x509.Certificate) string { return t.files[string(anchor.Raw)] }

// Profile returns the profile of the Verifier.
func (t *Trust) Profile() trust.Profile { return t.profile }

// CRL is a list of a Trust, and where it comes from.
type CRL struct {
	trust.CRLInfo
	File, URL string // URL is empty for a list that is not fetched
}

// CRLs returns the lists in the order of trust.Verifier.CRLs.
func (t *Trust) CRLs() []CRL {
	var out []CRL
	for _, c := range t.Verifier.CRLs() {
		crl := CRL{CRLInfo: c, File: t.FileOf(trustaccess.ListOf(c))}
		for _, s := range t.fetch {
			if s.File == crl.File {
				crl.URL = s.URL
			}
		}
		out = append(out, crl)
	}
	return out
}
