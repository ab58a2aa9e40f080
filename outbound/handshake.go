package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Handshake is one TLS handshake with a server: the answer to "we got no
// certificate". A resumed session asks and sends nothing; Asked and Sent then are
// those of the handshake that the session began with.
type Handshake struct {
	Alias        string // empty: as nobody
	Fingerprint  string // SHA-256 of the leaf, lower-case hex; empty: as nobody
	Origin       string
	Proxy        string // the proxy that the tunnel goes through, without its password; empty without one
	Asked        bool   // the server asked for a certificate
	Sent         bool   // it was sent
	Unacceptable error  // why the server may refuse it, by what the server said it accepts; it is sent all the same
	Resumed      bool   // a session of this credential was resumed
	Renegotiated bool   // the server asked in the middle of the connection
	Version      uint16 // tls.VersionTLS12 or tls.VersionTLS13; 0 where it did not come so far
	Protocol     string // "h2", "http/1.1" or empty
	Took         time.Duration
	Err          error // why there is no connection
}

// handshake watches one connection. Its lock is for servers that renegotiate, which
// ask while the connection is in use.
type handshake struct {
	pool  *pool
	start time.Time

	mu       sync.Mutex
	event    Handshake
	identity *Credential
	began    session // that is being resumed
	over     bool
}

// certificate is GetClientCertificate. It sends the credential whatever the server
// says it accepts: servers leave authorities out of their lists.
func (h *handshake) certificate(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	h.mu.Lock()
	h.event.Asked = true
	answer := &tls.Certificate{} // none
	if h.identity != nil {
		h.event.Sent, h.event.Unacceptable = true, asked.SupportsCertificate(&h.identity.pair)
		answer = &h.identity.pair
	}
	event, again := h.event, h.over
	h.mu.Unlock()
	if again {
		event.Renegotiated, event.Took = true, 0
		h.pool.observe(event)
	}
	return answer, nil
}

// verified is VerifyConnection, which comes before anything of a resumed session is
// used or kept: what was asked and sent when it began, counts for it.
func (h *handshake) verified(state tls.ConnectionState) error {
	if state.DidResume {
		h.mu.Lock()
		h.event.Asked, h.event.Sent = h.began.asked, h.began.sent
		h.mu.Unlock()
	}
	if h.pool.tls.VerifyConnection != nil {
		return h.pool.tls.VerifyConnection(state)
	}
	return nil
}

// done ends the handshake: it judges it, and tells of it.
func (h *handshake) done(state tls.ConnectionState, err error) error {
	h.mu.Lock()
	h.over = true
	h.event.Took, h.event.Version, h.event.Protocol = time.Since(h.start), state.Version, state.NegotiatedProtocol
	h.event.Resumed = state.DidResume
	if err == nil && h.identity != nil && h.pool.mustBeAsked && !h.event.Asked {
		err = ErrNotAsked // fail closed: the server would answer nobody
	}
	if err != nil {
		err = explain(err, h.pool.alias, h.event.Asked)
	} else if state.Version == tls.VersionTLS13 && h.event.Asked && !state.DidResume {
		h.pool.heard.asked.Add(1) // its verdict is still to come
	}
	h.event.Err = err
	event := h.event
	h.mu.Unlock()
	h.pool.observe(event)
	return err
}

// facts are what a session is remembered with.
func (h *handshake) facts() (asked, sent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.event.Asked, h.event.Sent
}

// dialTLS is DialTLSContext of a pool: the only place where a certificate is sent.
func (p *pool) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	raw, tracked, err := p.dialThrough(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	h := &handshake{pool: p, start: time.Now(), identity: p.identity.Load()}
	h.event.Origin = origin{"https", host, port}.String()
	if h.identity != nil {
		h.event.Alias, h.event.Fingerprint = h.identity.alias, h.identity.print
	}
	if p.proxy != nil {
		h.event.Proxy = p.proxy.Redacted()
	}
	config := p.tls.Clone()
	config.ServerName = host
	config.GetClientCertificate, config.VerifyConnection = h.certificate, h.verified
	config.ClientSessionCache = &sessionsFor{p.sessions, addr, h}
	conn, err := p.handshake(ctx, raw, config, h.done)
	if err != nil {
		return nil, err
	}
	if conn.ConnectionState().NegotiatedProtocol == "h2" {
		tracked.origin.Store(&h.event.Origin)
	}
	tracked.listen(conn, func(err error) { p.heard.note(h.event.Origin, err) })
	return conn, nil
}

// handshake does one under the base's deadline. It closes raw if it fails.
func (p *pool) handshake(ctx context.Context, raw net.Conn, config *tls.Config, done func(tls.ConnectionState, error) error) (*tls.Conn, error) {
	limit := p.transport.TLSHandshakeTimeout
	inner, cancel := ctx, context.CancelFunc(func() {})
	if limit > 0 {
		inner, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	conn := tls.Client(raw, config)
	err := conn.HandshakeContext(inner)
	if err != nil && inner.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("the handshake took more than %s: %w", limit, os.ErrDeadlineExceeded)
	}
	if err = done(conn.ConnectionState(), err); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// tlsConfig is what all handshakes of a pool have in common: that of the base, with
// the roots in force.
func tlsConfig(base *tls.Config, roots *x509.CertPool) *tls.Config {
	config := &tls.Config{}
	if base != nil {
		config = base.Clone()
	}
	config.RootCAs = roots
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return config
}
