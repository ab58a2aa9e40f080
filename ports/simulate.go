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
	h := &handshake{places: newLimiter(1), end: time.Now().Add(s.config.Limits.Handshake)} // places of its own: a simulation takes none from clients
	c.raw = &rawConn{conn: c, handshake: h}
	if err := s.verify(h, cs.PeerCertificates); err != nil {
		return nil, err
	}
	if err := p.establish(c, s, &cs); err != nil {
		return nil, err
	}
	return connstate.NewContext(ctx, (*guardConn)(c)), nil
}
