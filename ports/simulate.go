package ports

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/connstate"
)

// Simulate returns the context of a request on a connection that does not exist, as if a
// client had presented these certificates. It is for mtlsguard's Server.Explain: programs
// cannot build a connstate.Client. The checks of a handshake run by the same code; the error
// is the *reason.Refusal that would end the handshake. A port of mode None ignores the
// certificates.
//
// Nothing is counted, no limit applies, and no client has proved that it holds the key. So
// no request may be served with this context. Conn.Verified verifies the certificates as on
// a real connection. Simulate is safe for concurrent use.
func (p *Port) Simulate(ctx context.Context, client connstate.Client) (context.Context, error) {
	s := p.state.Load()
	cs := tls.ConnectionState{HandshakeComplete: true, ServerName: client.ServerName}
	if s.config.ClientAuth != None {
		cs.PeerCertificates = client.Certificates
	}
	c := &Conn{port: p, simulated: true}
	c.raw = &rawConn{conn: c, handshakes: newLimiter(1), handshakeEnd: time.Now().Add(s.config.Limits.Handshake)} // a gate of its own: a simulation takes no place from clients
	if err := s.verify(c.raw, cs.PeerCertificates); err != nil {
		return nil, err
	}
	if err := p.establish(c, s, &cs); err != nil {
		return nil, err
	}
	return connstate.NewContext(ctx, (*guardConn)(c)), nil
}
