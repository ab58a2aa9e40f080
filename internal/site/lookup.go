package site

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// Verifies names the certificates that a Trust of the port verifies.
func (p *Port) Verifies(t *Trust) string {
	switch {
	case t == &p.users:
		return "forwarded certificates"
	case t == &p.gateways || p.Guard.Forwarded != nil:
		return "gateways"
	}
	return "connections"
}

// FileOf returns the file of a CRL of the verifier.
func (t *Trust) FileOf(list *x509.RevocationList) string { return t.files[string(list.Signature)] }

// ResponderURL returns the address of the OCSP responder, or "" without one.
func (t *Trust) ResponderURL() string { return t.asks.url }

// ResponderStats returns the counters of the OCSP client; nil without a responder.
func (t *Trust) ResponderStats() *ocsp.Stats {
	if t.asks.client == nil {
		return nil
	}
	return new(t.asks.client.Stats())
}

// AskResponder queries the OCSP responder about a certificate. There must be a responder.
func (t *Trust) AskResponder(ctx context.Context, cert, issuer *x509.Certificate) (trust.Status, time.Time, error) {
	return t.asks.client.Status(ctx, cert, issuer)
}
