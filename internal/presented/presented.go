// Package presented passes the certificates of a refused caller from the package that read
// them to the log.
package presented

import (
	"crypto/x509"
	"errors"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Error is the cause of a refusal, with the certificates that were refused. They are not
// trusted: use them for logs only.
type Error struct {
	Certificates []*x509.Certificate // leaf first
	Err          error               // the cause of the refusal; may be nil
}

// Error returns the text of the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return "the certificates were refused"
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// With adds certificates to a *reason.Refusal. It returns any other error unchanged.
func With(err error, certificates []*x509.Certificate) error {
	r, ok := err.(*reason.Refusal)
	if !ok {
		return err
	}
	return &reason.Refusal{Reason: r.Reason, Detail: r.Detail, Err: &Error{certificates, r.Err}}
}

// In returns the certificates that With added to an error, or nil.
func In(err error) []*x509.Certificate {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Certificates
	}
	return nil
}
