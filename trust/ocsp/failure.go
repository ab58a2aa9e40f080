package ocsp

import (
	"errors"
	"strconv"
)

// failure is the error of a query that returned no status.
type failure struct {
	what      string // our own text
	err       error  // the cause; printed escaped and shortened, because the responder may influence it
	responder bool   // the responder as a whole failed, not only for this certificate
}

// maxDetail is the largest number of bytes of the cause that Error prints.
const maxDetail = 120

var (
	errNotIssued          = &failure{what: "the certificate was not issued by the given issuer"}
	errTooManyQueries     = &failure{what: "too many requests are under way"}
	errBreakerOpen        = &failure{what: "the responder failed too often; no requests are sent for some seconds"}
	errOlderThanRevoked   = &failure{what: "the answer is older than an earlier one with the status revoked", responder: true}
	errUnknownCertificate = &failure{what: "the responder does not know the certificate"}
)

// Error returns one short line of text.
func (f *failure) Error() string {
	text := "ocsp: " + f.what
	if f.err == nil {
		return text
	}
	detail := f.err.Error()
	return text + ": " + strconv.QuoteToASCII(detail[:min(len(detail), maxDetail)])
}

// Unwrap returns the cause, such as context.DeadlineExceeded.
func (f *failure) Unwrap() error { return f.err }

// responderError returns a failure of the responder as a whole.
func responderError(what string) error { return &failure{what: what, responder: true} }

func malformedError(where string) error { return responderError("the answer is malformed: " + where) }

func isResponderError(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.responder
}
