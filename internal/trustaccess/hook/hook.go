// Package hook connects package trust with package trustaccess, which imports it.
// Nothing else uses this package.
package hook

import (
	"context"
	"crypto/x509"
	"errors"
	"time"
)

// Trust implements trustaccess.functions. Package trust sets it when it is initialized.
var Trust any

// LocalResponder returns the value that answers from memory for a trust.Responder, or nil.
// It has the method StatusLocal of trust's localResponder. Package ocsp sets it when it is
// initialized; it is nil in programs without OCSP.
var LocalResponder func(responder any) any

// localKey is the key of a context that Local returns.
type localKey struct{}

// Local implements trustaccess.Local.
var Local = context.WithValue(context.Background(), localKey{}, true)

// IsLocal reports whether ctx is Local or derived from it.
func IsLocal(ctx context.Context) bool { return ctx.Value(localKey{}) != nil }

// ErrUndecided is the error of trustaccess.VerifyLocal when the Responder must be queried.
var ErrUndecided = errors.New("trust: only the responder knows whether the certificate is revoked")

// CRLState is a list of a Verifier, without its entries.
type CRLState struct {
	List  *x509.RevocationList
	Until time.Time // its next update, or a week after it began if it has none
	// SignedBy reports whether a certificate may sign CRLs and signed the list. The list remembers
	// the result: hashing one of 100,000 entries takes 3 ms.
	SignedBy func(*x509.Certificate) bool
}

// CRLLookup is a list of a Verifier, and whether it contains a serial number.
type CRLLookup struct {
	CRLState
	Signer   *x509.Certificate // the configured authority that signed it; nil if none is known
	Listed   bool
	Replaced bool // whether a newer list of the same issuer, key and scope exists: the list then shows only what is revoked
}

// Warning describes configuration that loads and is probably not intended.
type Warning struct {
	What   string
	Hint   string            // "" for none
	Anchor *x509.Certificate // the anchor that it is about, or nil
}

// Certificate is a certificate and the line of the file at which it starts.
type Certificate struct {
	Cert *x509.Certificate
	Line int
}

// ParsedCRL is a revocation list that is checked as far as its content shows, and that
// verifiers share. Only package trust makes one.
type ParsedCRL struct {
	List   *x509.RevocationList // without its entries
	Line   int                  // of the file at which it starts
	Parsed any                  // *trust.parsedCRL
}

// CRL is a revocation list and the line of the file at which it starts.
type CRL struct {
	List *x509.RevocationList
	Line int
}
