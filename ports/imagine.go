package ports

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"
)

// Imagine returns the context of a request on a connection that nobody has made: as
// if a client had presented these certificates, leaf first, and asked for
// serverName. It takes the decisions of a handshake by the same code; the error is
// the *reason.Refusal that would end it. A port that asks for no certificate sees
// none.
//
// It is for explanations alone. There is no connection: nothing is counted, no limit
// is applied, nobody has shown the key of the certificate. Whoever serves a request
// with this context serves a caller who need not exist. It believes nothing by
// itself: Conn.Verified judges the certificates as ever.
func (p *Port) Imagine(ctx context.Context, presented []*x509.Certificate, serverName string) (context.Context, error) {
	s := p.state.Load()
	cs := tls.ConnectionState{HandshakeComplete: true, ServerName: serverName}
	if s.config.ClientAuth != None {
		cs.PeerCertificates = presented
	}
	c := &Conn{port: p, simulated: true}
	c.raw = &rawConn{conn: c, gate: newGate(1), until: time.Now().Add(s.config.Limits.Handshake)} // a gate of its own: it takes nobody's place
	if err := s.verify(c.raw, cs.PeerCertificates); err != nil {
		return nil, err
	}
	if err := p.establish(c, s, &cs); err != nil {
		return nil, err
	}
	return context.WithValue(ctx, connKey{}, c), nil
}
