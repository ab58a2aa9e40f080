package ports

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/connstate"
)

func init() {
	connstate.Simulate = func(ctx context.Context, port any, client connstate.Client) (context.Context, error) {
		return port.(*Port).simulate(ctx, client)
	}
}

// simulate implements connstate.Simulate.
func (p *Port) simulate(ctx context.Context, client connstate.Client) (context.Context, error) {
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
