package ocsp

import (
	"errors"
	"strconv"
)

// failure is why nothing is known about a certificate.
type failure struct {
	what      string // our own words
	err       error  // below it; printed escaped and cut, because a peer may have a say in it
	responder bool   // the responder is to blame as a whole, not what it knows of one certificate
}

// maxDetail is the most of an error from below that is printed.
const maxDetail = 120

var (
	errNotIssued          = &failure{what: "the certificate is not the given issuer's"}
	errTooManyQueries     = &failure{what: "too many questions are under way"}
	errBreakerOpen        = &failure{what: "the responder failed too often and is not asked for a while"}
	errOlderThanRevoked   = &failure{what: "the answer is older than the one that said revoked", responder: true}
	errUnknownCertificate = &failure{what: "the responder does not know the certificate"}
)

// Error returns one short line.
func (f *failure) Error() string {
	text := "ocsp: " + f.what
	if f.err == nil {
		return text
	}
	detail := f.err.Error()
	return text + ": " + strconv.QuoteToASCII(detail[:min(len(detail), maxDetail)])
}

// Unwrap returns the error below, so that a deadline can be told from a refusal.
func (f *failure) Unwrap() error { return f.err }

// wrong is a failure that the responder is to blame for.
func responderError(what string) error { return &failure{what: what, responder: true} }

func malformedError(where string) error { return responderError("the answer is malformed: " + where) }

func isResponderError(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.responder
}
