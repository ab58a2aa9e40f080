package probe

import (
	"errors"
	"net"
	"reflect"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Alert is the TLS alert that the server sent (RFC 8446 section 6.2).
type Alert struct {
	Number uint8         `json:"number"`
	Name   string        `json:"name"`
	Reason reason.Reason `json:"reason,omitempty"` // the meaning for the client's certificate; "" if the alert is not about it
}

// alerts lists the alerts that a server sends to a client.
var alerts = map[uint8]Alert{
	0:   {Name: "close_notify"},
	10:  {Name: "unexpected_message"},
	20:  {Name: "bad_record_mac"},
	40:  {Name: "handshake_failure"},
	42:  {Name: "bad_certificate", Reason: reason.BadCertificate},
	43:  {Name: "unsupported_certificate", Reason: reason.BadCertificate},
	44:  {Name: "certificate_revoked", Reason: reason.Revoked},
	45:  {Name: "certificate_expired", Reason: reason.Expired},
	46:  {Name: "certificate_unknown", Reason: reason.BadCertificate},
	47:  {Name: "illegal_parameter"},
	48:  {Name: "unknown_ca", Reason: reason.UnknownAuthority},
	49:  {Name: "access_denied", Reason: reason.Denied},
	50:  {Name: "decode_error"},
	51:  {Name: "decrypt_error", Reason: reason.BadCertificate},
	70:  {Name: "protocol_version"},
	71:  {Name: "insufficient_security"},
	80:  {Name: "internal_error"},
	90:  {Name: "user_canceled"},
	112: {Name: "unrecognized_name"},
	116: {Name: "certificate_required", Reason: reason.NoCertificate},
	120: {Name: "no_application_protocol"},
}

// findAlert returns the server's alert in an error of crypto/tls, or nil. The type is not
// exported: it is a uint8 inside a net.OpError with Op "remote error".
func findAlert(err error) *Alert {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" {
		return nil
	}
	v := reflect.ValueOf(remote.Err)
	if v.Kind() != reflect.Uint8 {
		return nil
	}
	number := uint8(v.Uint()) // the kind is Uint8
	a := alerts[number]
	a.Number = number
	if a.Name == "" {
		a.Name = remote.Err.Error()
	}
	return &a
}
