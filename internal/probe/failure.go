package probe

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/mtlsguard/mtlsguard/reason"
)

// record sets the side that ended the connection, and the error.
func (r *Report) record(side Side, err error) *Report {
	r.RefusedBy, r.Err = side, err
	return r
}

// recordFailure finds the side that ended the connection from the error.
func (r *Report) recordFailure(err error) *Report {
	if r.Alert = findAlert(err); r.Alert != nil {
		r.Reason = r.Alert.Reason
		if r.Alert.Number == 40 && r.Requested { // handshake_failure is about the certificate if one was requested (RFC 5246 section 7.4.6)
			r.Reason = reason.BadCertificate
			if !r.Sent {
				r.Reason = reason.NoCertificate
			}
		}
		return r.record(Server, err)
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		r.PlainHTTP = strings.HasPrefix(string(header.RecordHeader[:]), "HTTP/")
		return r.record(Network, err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return r.record(Client, err)
	}
	if r.isSilentClose(err) {
		return r.record(Network, err)
	}
	if r.Stage == Handshake {
		return r.record(Client, err) // crypto/tls ended the handshake on this side
	}
	return r.record(Network, err)
}

// isSilentClose reports whether the connection ended without an alert.
func (r *Report) isSilentClose(err error) bool {
	var network *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) || errors.As(err, &network) && network.Op != "local error"
}
