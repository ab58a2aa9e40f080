package trust

import (
	"crypto/x509"
	"slices"
	"sync/atomic"
	"time"
)

// Verified is a certificate that a Verifier has verified, with its chains. Only this package
// can make one; the zero value is not a verified certificate. It is immutable, safe for
// concurrent use, and as cheap to copy as a pointer.
type Verified struct{ result *result }

type result struct {
	leaf        *x509.Certificate
	chains      [][]*x509.Certificate
	presented   []*x509.Certificate // the leaf and the issuers of the chains, without the anchors
	fingerprint Digest
	spki        Digest
	direct      []Digest  // keys of the leaf's direct issuers
	issuers     []Digest  // keys of every CA certificate of the chains
	notBefore   time.Time // also a little before the verification
	notAfter    time.Time // the earliest end of a certificate
	until       time.Time
	generation  uint64
	usage       Usage
	trustDomain string
	remembered  atomic.Bool // remember was called
}

// IsZero reports whether v is the zero value, which is not a verified certificate.
func (v Verified) IsZero() bool { return v.result == nil }

// Leaf returns the client's own certificate, or nil for the zero value. Do not modify it.
func (v Verified) Leaf() *x509.Certificate {
	if v.result == nil {
		return nil
	}
	return v.result.leaf
}

// Chains returns the verified chains, each from the leaf to its trust anchor. The caller owns
// the outer slice only.
func (v Verified) Chains() [][]*x509.Certificate {
	if v.result == nil {
		return nil
	}
	return slices.Clone(v.result.chains)
}

// Issuer returns the certificate of the leaf's direct issuer in the first chain. It is nil
// for the zero value, and for a leaf that is itself a trust anchor.
func (v Verified) Issuer() *x509.Certificate {
	if v.result == nil || len(v.result.chains[0]) < 2 {
		return nil
	}
	return v.result.chains[0][1]
}

// Fingerprint returns the SHA-256 digest of the leaf's DER.
func (v Verified) Fingerprint() Digest {
	if v.result == nil {
		return Digest{}
	}
	return v.result.fingerprint
}

// SPKI returns the SHA-256 digest of the leaf's public key (see SPKIOf).
func (v Verified) SPKI() Digest {
	if v.result == nil {
		return Digest{}
	}
	return v.result.spki
}

// Usage returns the purpose for which the certificate was verified. Only UsageClient can
// identify a user.
func (v Verified) Usage() Usage {
	if v.result == nil {
		return UsageClient
	}
	return v.result.usage
}

// TrustDomain returns the SPIFFE trust domain whose anchors verified the certificate: that of its
// SPIFFE ID. It is "" for a certificate that other anchors verified, and for the zero value: the URI
// of such a certificate is no SPIFFE ID to rely on.
func (v Verified) TrustDomain() string {
	if v.result == nil {
		return ""
	}
	return v.result.trustDomain
}

// Until returns the time at which the result ends: the earliest end of a certificate of the
// chains and, where a CRL or the Responder shows that a certificate is not revoked, the end
// of that information. It is zero for the zero value.
func (v Verified) Until() time.Time {
	if v.result == nil {
		return time.Time{}
	}
	return v.result.until
}

// validAt reports whether the result holds at time t. It is false for the zero value.
func (v Verified) validAt(t time.Time) bool {
	return v.result != nil && !t.Before(v.result.notBefore) && !t.After(v.result.until)
}
