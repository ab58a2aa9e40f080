package ports

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"

	"github.com/mtlsguard/mtlsguard/internal/probemark"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// state is one configuration of a port with its TLS configuration. It never changes, except
// for the rotation of ticket keys, which crypto/tls locks.
type state struct {
	config    Config
	tls       *tls.Config
	requested string // the CA names in the port's certificate request

	mu   sync.Mutex
	keys [][32]byte // ticket keys, the newest first
}

// newState returns the state for a configuration, always with ticket keys of its own. With a
// shared key a session of another port, or of a former trust, could resume here.
func newState(c Config) (*state, error) {
	s := &state{config: c, requested: requested(&c)}
	s.tls = c.tlsBase()
	s.tls.GetCertificate = s.certificate
	s.tls.VerifyConnection = func(tls.ConnectionState) error { return errNoConn } // fail closed: configFor replaces it
	switch c.ClientAuth {
	case None:
		s.tls.ClientAuth = tls.NoClientCert
	case Request:
		s.tls.ClientAuth = tls.RequestClientCert
	case Require:
		s.tls.ClientAuth = tls.RequireAnyClientCert // "any": crypto/tls checks that there is one, verify verifies it
	}
	if c.Trust != nil && !c.HideAuthorities {
		// Only names for the certificate request: crypto/tls verifies nothing in these modes.
		s.tls.ClientCAs = x509.NewCertPool()
		for _, a := range c.Trust.Anchors() {
			s.tls.ClientCAs.AddCert(a)
		}
	}
	return s, s.rotate()
}

var errNoConn = reason.Refuse(reason.BadCertificate, "the handshake has no connection to verify for")

// rotate adds a new ticket key in front and keeps one old one, so that sessions
// live at most two rotations.
func (s *state) rotate() error {
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return fmt.Errorf("ports: ticket key: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append([][32]byte{key}, s.keys[:min(1, len(s.keys))]...)
	s.tls.SetSessionTicketKeys(s.keys)
	return nil
}

func (s *state) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := s.config.Certificate(hello)
	if raw, ok := hello.Conn.(*rawConn); ok {
		h := raw.handshake
		h.probe = probemark.InHello(hello.SupportedProtos)
		h.sentHello = err == nil && c != nil // what the client sends next is its part of the handshake
	}
	return c, err
}

// configFor returns the TLS configuration for one connection: that of the state, ticket
// keys included, with a VerifyConnection that knows the connection.
func (s *state) configFor(raw *rawConn) *tls.Config {
	own := s.tls.Clone()
	own.KeyLogWriter = (*keyLog)(raw)
	own.GetConfigForClient = s.challengeConfig(raw)
	if spoken := raw.conn.port.spoken.Load(); spoken != nil {
		own.NextProtos = slices.DeleteFunc(slices.Clone(own.NextProtos), func(p string) bool {
			return slices.Contains(httpProtos, p) && !slices.Contains(*spoken, p)
		})
	}
	own.VerifyConnection = func(cs tls.ConnectionState) error {
		h := raw.handshake
		if h == nil {
			return errNoConn // fail closed: the handshake is over
		}
		err := s.verify(h, cs.PeerCertificates)
		if err != nil {
			h.alert.set(alertFor(err, s.config.HideAuthorities), &cs)
		}
		return err
	}
	return own
}

// verify runs in every handshake, resumed ones too: VerifyConnection is the one
// callback that crypto/tls does not skip on resumption. It runs before the client has
// proved that it holds the key, so no result is remembered beyond this handshake.
func (s *state) verify(h *handshake, presented []*x509.Certificate) (err error) {
	switch {
	case s.config.ClientAuth == None:
		return nil
	case len(presented) > 0:
		h.verified, err = trustaccess.VerifyLocal(s.config.Trust, presented)
		if err == trustaccess.ErrUndecided {
			h.verified, err = s.queryResponder(h, presented)
		}
		return err
	case s.config.ClientAuth == Require:
		return reason.Refuse(reason.NoCertificate, "the client sent no certificate") // fail closed, whatever crypto/tls let through
	}
	return nil
}

// queryResponder verifies a certificate where only a responder knows whether it is revoked.
// The handshake waits for the network meanwhile, so another one may have its place among
// those that compute.
func (s *state) queryResponder(h *handshake, presented []*x509.Certificate) (trust.Verified, error) {
	ctx, cancel := context.WithDeadline(context.Background(), h.end)
	defer cancel()
	h.releasePlace()
	verified, err := s.config.Trust.Verify(ctx, presented)
	if err != nil {
		return trust.Verified{}, err
	}
	if err := h.takePlace(); err != nil {
		return trust.Verified{}, err
	}
	return verified, nil
}
