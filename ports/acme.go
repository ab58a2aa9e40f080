package ports

import (
	"crypto/tls"
	"errors"
	"slices"
)

// errChallenge is the end of a handshake for a challenge: there is no error, and no
// connection either.
var errChallenge = errors.New("the connection was a challenge of ACME (tls-alpn-01, RFC 8737): its certificate was presented, and it was closed")

// challengeConfig returns the function for tls.Config.GetConfigForClient of one connection, or
// nil for a port whose Config.TLS does not have acmeProto in NextProtos.
//
// A CA that validates a name offers acmeProto and nothing else (RFC 8737 section 3), and has no
// client certificate. Its handshake requests none, whatever the mode of the port is, and makes no
// session. The connection ends with the handshake: it never reaches an http.Server.
func (s *state) challengeConfig(raw *rawConn) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	if s.config.TLS == nil || !slices.Contains(s.config.TLS.NextProtos, acmeProto) {
		return nil
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.Equal(hello.SupportedProtos, []string{acmeProto}) {
			return nil, nil // an ordinary client
		}
		raw.handshake.challenge = true // fail closed: from here on the connection is of no other use
		return &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{acmeProto}, ClientAuth: tls.NoClientCert,
			SessionTicketsDisabled: true, GetCertificate: s.certificate,
		}, nil
	}
}
