// Package certchain chooses, among the certificates of a file, the leaf of a private key
// and its issuers, and finds the end of a chain.
//
// A file may hold several certificates that fit: of a certificate that was renewed under one
// key, or of an authority. The first in the file may be the expired one.
package certchain

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"slices"
	"time"
)

// IsKeyOf reports whether the certificate has the public key of a private key.
func IsKeyOf(key crypto.PrivateKey, c *x509.Certificate) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

// Leaves returns the certificates of a key, best first: those that are valid now before the
// others, and among them the one that began last. Equal ones keep their order.
func Leaves(key crypto.PrivateKey, all []*x509.Certificate, now time.Time) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range all {
		if IsKeyOf(key, c) && !slices.ContainsFunc(out, c.Equal) {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b *x509.Certificate) int {
		return cmp.Or(byValidity(a, b, now), b.NotBefore.Compare(a.NotBefore))
	})
	return out
}

// Build returns the leaf and the certificates that issued it, as far as all has them. A
// self-signed certificate ends the chain and belongs to it. Of several issuers with one
// name and key it takes one that is valid now, with the latest end.
func Build(leaf *x509.Certificate, all []*x509.Certificate, now time.Time) []*x509.Certificate {
	out := []*x509.Certificate{leaf}
	for last := leaf; !isSelfIssued(last); { // authorities may certify each other in a circle
		var issuers []*x509.Certificate
		for _, c := range all {
			if isIssuer(c, last) && !slices.ContainsFunc(out, c.Equal) {
				issuers = append(issuers, c)
			}
		}
		if len(issuers) == 0 {
			return out
		}
		last = slices.MinFunc(issuers, func(a, b *x509.Certificate) int { // the first of equals
			return cmp.Or(byValidity(a, b, now), b.NotAfter.Compare(a.NotAfter))
		})
		out = append(out, last)
	}
	return out
}

// IsAmbiguous reports whether a file has several certificates of the key, or of one
// authority: then their order in the file does not show the chain.
func IsAmbiguous(key crypto.PrivateKey, all []*x509.Certificate) bool {
	for i, a := range all {
		for _, b := range all[:i] {
			if !a.Equal(b) && (IsSameHolder(a, b) || IsKeyOf(key, a) && IsKeyOf(key, b)) {
				return true
			}
		}
	}
	return false
}

// IsSameHolder reports whether two certificates are of one name and key.
func IsSameHolder(a, b *x509.Certificate) bool {
	return string(a.RawSubject) == string(b.RawSubject) && string(a.RawSubjectPublicKeyInfo) == string(b.RawSubjectPublicKeyInfo)
}

// Earliest returns the certificate of a chain that ends first, the leaf if several do; nil
// for an empty chain. Clients refuse the chain from then on.
func Earliest(chain []*x509.Certificate) *x509.Certificate {
	if len(chain) == 0 {
		return nil
	}
	return slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
}

func byValidity(a, b *x509.Certificate, now time.Time) int {
	now = now.Truncate(time.Second) // certificates have whole seconds
	rank := func(c *x509.Certificate) int {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return 1
		}
		return 0
	}
	return rank(a) - rank(b)
}

func isSelfIssued(c *x509.Certificate) bool { return string(c.RawIssuer) == string(c.RawSubject) }

func isIssuer(issuer, c *x509.Certificate) bool {
	return string(c.RawIssuer) == string(issuer.RawSubject) && !issuer.Equal(c) && c.CheckSignatureFrom(issuer) == nil
}
