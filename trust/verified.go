package trust

import (
	"crypto/x509"
	"slices"
	"sync/atomic"
	"time"
)

// Verified is a leaf that a Verifier believed, with its chains. It cannot be made
// outside this package; the zero value is nobody. It is immutable, and as cheap
// to copy as a pointer.
type Verified struct{ result *result }

type result struct {
	leaf        *x509.Certificate
	chains      [][]*x509.Certificate
	presented   []*x509.Certificate // the leaf and the issuers of the chains, without the anchors
	fingerprint Digest
	spki        Digest
	direct      []Digest // keys of the leaf's direct issuers
	issuers     []Digest // keys of every CA certificate of the chains
	notBefore   time.Time
	notAfter    time.Time // the first end of a certificate
	until       time.Time
	generation  uint64
	usage       Usage
	remembered  atomic.Bool // Remember has been called
}

// IsZero reports whether v is nobody.
func (v Verified) IsZero() bool { return v.result == nil }

// Leaf is the client's own certificate; treat it as read-only.
func (v Verified) Leaf() *x509.Certificate {
	if v.result == nil {
		return nil
	}
	return v.result.leaf
}

// Chains returns the chains that were built and believed, leaf first, anchor
// last. The outer slice is the caller's.
func (v Verified) Chains() [][]*x509.Certificate {
	if v.result == nil {
		return nil
	}
	return slices.Clone(v.result.chains)
}

// Issuer is the certificate of the leaf's direct issuer in the first chain. It is nil
// for the zero value, and for a leaf that is itself an anchor.
func (v Verified) Issuer() *x509.Certificate {
	if v.result == nil || len(v.result.chains[0]) < 2 {
		return nil
	}
	return v.result.chains[0][1]
}

// Fingerprint is the SHA-256 of the leaf's DER.
func (v Verified) Fingerprint() Digest {
	if v.result == nil {
		return Digest{}
	}
	return v.result.fingerprint
}

// SPKI is the SHA-256 of the leaf's public key.
func (v Verified) SPKI() Digest {
	if v.result == nil {
		return Digest{}
	}
	return v.result.spki
}

// Generation is that of the Verifier that believed v.
func (v Verified) Generation() uint64 {
	if v.result == nil {
		return 0
	}
	return v.result.generation
}

// Usage is as whose certificate the leaf was judged. Only one that was judged as a
// client's can be a user's.
func (v Verified) Usage() Usage {
	if v.result == nil {
		return UsageClient // of nobody
	}
	return v.result.usage
}

// Until is the time until which the verification holds: the earliest end of a certificate
// of the chains and, where a CRL or the Responder shows that a certificate is not revoked,
// the end of that answer.
func (v Verified) Until() time.Time {
	if v.result == nil {
		return time.Time{}
	}
	return v.result.until
}

// ValidAt reports whether the judgement holds at t. The zero value never does.
func (v Verified) ValidAt(t time.Time) bool {
	return v.result != nil && !t.Before(v.result.notBefore) && !t.After(v.result.until)
}
