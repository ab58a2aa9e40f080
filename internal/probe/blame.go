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

func (r *Report) end(who Side, err error) *Report {
	r.Refused, r.Err = who, err
	return r
}

// blame finds out who ended the connection.
func (r *Report) blame(err error) *Report {
	if r.Alert = alertOf(err); r.Alert != nil {
		r.Reason = r.Alert.Reason
		if r.Alert.Number == 40 && r.Asked { // handshake_failure is about the certificate, where one was asked for (RFC 5246 section 7.4.6)
			r.Reason = reason.BadCertificate
			if !r.Sent {
				r.Reason = reason.NoCertificate
			}
		}
		return r.end(Server, err)
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		r.PlainHTTP = strings.HasPrefix(string(header.RecordHeader[:]), "HTTP/")
		return r.end(Network, err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return r.end(Client, err)
	}
	if r.silent(err) {
		return r.end(Network, err)
	}
	if r.Stage == Handshake {
		return r.end(Client, err) // crypto/tls gave up by itself
	}
	return r.end(Network, err)
}

// silent reports whether a connection ended without a word.
func (r *Report) silent(err error) bool {
	var network *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) || errors.As(err, &network) && network.Op != "local error"
}
