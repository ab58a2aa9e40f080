package trust

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
)

// Status is the revocation status of a certificate.
type Status int

// The statuses. The zero value is StatusUnknown.
const (
	StatusUnknown Status = iota
	StatusGood
	StatusRevoked
)

// Responder returns the status of certificates that no CRL of a Verifier covers. Package
// trust/ocsp implements it. Handshakes wait for it: it must return within ctx and a deadline
// of its own, and should cache its answers. It must be safe for concurrent use.
//
// An answer holds until the returned time; after it, the Verifier calls Status again, under
// RevocationSoft and RevocationHard. An error means StatusUnknown. A zero or past time means
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
