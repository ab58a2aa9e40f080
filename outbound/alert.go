package outbound

import (
	"errors"
	"fmt"
	"net"
	"reflect"

	"github.com/mtlsguard/mtlsguard/reason"
)

// refusals are the alerts by which a server speaks about the client's certificate
// (RFC 8446 section 6.2).
var refusals = map[uint64]reason.Reason{
	42:  reason.BadCertificate,   // bad_certificate
	43:  reason.BadCertificate,   // unsupported_certificate
	44:  reason.Revoked,          // certificate_revoked
	45:  reason.Expired,          // certificate_expired
	46:  reason.BadCertificate,   // certificate_unknown
	48:  reason.UnknownAuthority, // unknown_ca
	49:  reason.Denied,           // access_denied
	51:  reason.BadCertificate,   // decrypt_error: the proof of the key
	116: reason.NoCertificate,    // certificate_required
}

// handshakeFailure says nothing by itself. From a server that has asked for a
// certificate before, it speaks of that (RFC 5246 section 7.4.6).
const handshakeFailure = 40

// explain turns an alert about the client's certificate into a refusal that says
// so. Everything else stays what it is. asked is whether the server asked in this
// very handshake, as far as one knows.
func explain(err error, alias string, asked bool) error {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" || errors.Is(err, ErrServerRefused) { // how crypto/tls marks what the peer sent
		return err
	}
	number := alertOf(remote.Err)
	word, ok := refusals[number]
	switch {
	case number == handshakeFailure && asked && alias == "":
		word = reason.NoCertificate
	case number == handshakeFailure && asked:
		word = reason.BadCertificate
	case !ok:
		return err
	}
	what := fmt.Sprintf("the server refused the certificate of alias %q", alias)
	if alias == "" {
		what = "the server wants a certificate, and the call was made as nobody"
	}
	return &reason.Refusal{
		Reason: word,
		Detail: what + ": " + remote.Err.Error(),
		Err:    fmt.Errorf("%w: %w", ErrServerRefused, err),
	}
}

// alertOf returns the number of an alert. crypto/tls does not export its type,
// which is a uint8; 0 is no alert about a certificate.
func alertOf(err error) uint64 {
	if v := reflect.ValueOf(err); v.Kind() == reflect.Uint8 {
		return v.Uint()
	}
	return 0
}
