package trust

import (
	"context"
	"crypto/x509"
	"time"
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

// LocalResponder is a Responder that can say without waiting what it knows already.
// Without StatusLocal nothing of it is known where nobody may wait.
type LocalResponder interface {
	Responder
	// StatusLocal is Status from memory. It must not block. It is false where the
	// question has to be put.
	StatusLocal(cert, issuer *x509.Certificate) (status Status, until time.Time, known bool, err error)
}
