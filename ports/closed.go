package ports

import (
	"crypto/x509"
	"net"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Closed describes a connection that a port closes, or an answer behind a gateway that it
// ends, because a certificate is not trusted any more: it is revoked, it has expired, or the
// trust has changed. With reason.Address the connection's address is not accepted any more.
type Closed struct {
	Port   string
	Remote net.Addr
	Proxy  net.Addr      // as in a handshake
	User   string        // whom the guard knew by the certificate; empty without a guard, and for a gateway
	Reason reason.Reason // as in a handshake
	Err    error
	Leaf   *x509.Certificate // the certificate; nil if there is none
}

// reportClosed calls OnClosed. The connection ends also if that panics.
func reportClosed(s *state, event Closed) {
	if s.config.OnClosed == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			logPanic(s.config.Name, v)
		}
	}()
	s.config.OnClosed(event)
}
