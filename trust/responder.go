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
// OCSP responder, say (package trust/ocsp). It must answer within its own deadline,
// and keep its answers: it is asked in handshakes. The answer holds until the given
// time. An error means StatusUnknown.
type Responder interface {
	Status(ctx context.Context, cert, issuer *x509.Certificate) (status Status, until time.Time, err error)
}
