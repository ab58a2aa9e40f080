package outbound

import (
	"errors"
	"fmt"
	"net"
	"reflect"

	"github.com/mtlsguard/mtlsguard/reason"
)

// alertReasons maps the alerts about a client's certificate (RFC 8446 section 6.2).
var alertReasons = map[uint64]reason.Reason{
	42:  reason.BadCertificate,   // bad_certificate
	43:  reason.BadCertificate,   // unsupported_certificate
	44:  reason.Revoked,          // certificate_revoked
	45:  reason.Expired,          // certificate_expired
	46:  reason.BadCertificate,   // certificate_unknown
	48:  reason.UnknownAuthority, // unknown_ca
	49:  reason.Denied,           // access_denied
	51:  reason.BadCertificate,   // decrypt_error: the proof of the key failed
	116: reason.NoCertificate,    // certificate_required
}

// handshakeFailure has many causes. After a request for a certificate it is about the
// certificate (RFC 5246 section 7.4.6).
const handshakeFailure = 40

// explainAlert turns an alert about the client's certificate into a refusal. It returns
// any other error unchanged. asked is whether the server is known to have asked for a
// certificate in this handshake; unfit is what askedFor returned for it.
func explainAlert(err error, identity *Credential, asked bool, unfit string) error {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" || errors.Is(err, ErrServerRefused) { // crypto/tls marks alerts of the peer so
		return err
	}
	number := alertNumber(remote.Err)
	why, ok := alertReasons[number]
	switch {
	case number == handshakeFailure && asked && identity == nil:
		why = reason.NoCertificate
	case number == handshakeFailure && asked:
		why = reason.BadCertificate
	case !ok:
		return err
	}
	what := "the server requires a certificate, and the call was made without one"
	if identity != nil {
		what = fmt.Sprintf("the server refused the certificate of alias %q (%s)", identity.alias, identity.describe())
	}
	what += ": " + remote.Err.Error()
	if unfit != "" {
		what += "; " + unfit
	}
	return &reason.Refusal{
		Reason: why,
		Detail: what,
		Err:    fmt.Errorf("%w: %w", ErrServerRefused, err),
	}
}

// alertNumber returns the number of an alert, or 0. crypto/tls does not export the type of
// its alerts, a uint8.
func alertNumber(err error) uint64 {
	if v := reflect.ValueOf(err); v.Kind() == reflect.Uint8 {
		return v.Uint()
	}
	return 0
}
