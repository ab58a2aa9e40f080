package trust

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
)

// Status is what is known about one certificate.
type Status int

// The answers. The zero value is the careful one.
const (
	StatusUnknown Status = iota
	StatusGood
	StatusRevoked
)

// Responder is asked about a certificate that no CRL of a Verifier speaks for: an
// OCSP responder, say (package trust/ocsp). It must answer within its own deadline and
// that of ctx, and keep its answers: it is asked in handshakes. The answer holds until
// the given time; then it is asked again, under Soft and Hard alike. An error means
// StatusUnknown, and the time is when to ask again; zero, or one that has passed, means
// 30 s from now.
type Responder interface {
	Status(ctx context.Context, cert, issuer *x509.Certificate) (status Status, until time.Time, err error)
}

// localResponder answers from memory for a Responder. trustaccess.VerifyLocal uses it: for a
// Responder without one, every status is undecided there.
type localResponder interface {
	// StatusLocal returns what Status would return, if that is known without a request. It
	// must not block. known is false if Status must be called.
	StatusLocal(cert, issuer *x509.Certificate) (status Status, until time.Time, known bool, err error)
}

// localOf returns the local part of a Responder, or nil.
func localOf(r Responder) localResponder {
	if r == nil || hook.LocalResponder == nil {
		return nil
	}
	local, _ := hook.LocalResponder(r).(localResponder)
	return local
}
