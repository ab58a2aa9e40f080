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

	"github.com/mtlsguard/mtlsguard/internal/signhint"
)

// Handshake describes one TLS handshake with a server, for Config.OnHandshake. In a resumed session
// the server requests nothing and nothing is sent; Asked and Sent are then those of the session's
// first handshake.
type Handshake struct {
	Alias        string // "" for a call without a certificate
	Fingerprint  string // SHA-256 of the leaf in lower-case hex; "" without a certificate
	Origin       string
	Proxy        string // the URL of the proxy, without its password; "" without a proxy
	Asked        bool   // the server requested a certificate
	Sent         bool   // the certificate was sent
	Unacceptable error  // the certificate is outside the server's list of authorities or algorithms; it was sent all the same
	Resumed      bool   // a session of this credential was resumed
	Renegotiated bool   // the server requested it in the middle of the connection
	Version      uint16 // tls.VersionTLS12 or tls.VersionTLS13; 0 if the handshake failed earlier
	Protocol     string // "h2", "http/1.1" or ""
	Took         time.Duration
	Err          error // nil if the handshake succeeded
}

// handshake observes the handshakes of one connection. Its lock is needed because a server that
// renegotiates requests a certificate while the connection is in use.
type handshake struct {
	pool  *pool
	start time.Time

	mu       sync.Mutex
	event    Handshake
	identity *Credential
	resumed  session // the session that is being resumed
	over     bool    // the first handshake has ended
	unfit    string  // what askedFor returned
}

// clientCertificate is tls.Config.GetClientCertificate. It sends the credential even if it
// is outside the server's list: servers omit authorities from their lists.
func (h *handshake) clientCertificate(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	h.mu.Lock()
	h.event.Asked, h.unfit = true, askedFor(request, h.identity)
	h.pool.refusals.setUnfit(h.event.Origin, h.unfit)
	certificate := &tls.Certificate{} // sends no certificate
	if h.identity != nil {
		h.event.Sent, h.event.Unacceptable = true, request.SupportsCertificate(&h.identity.pair)
		if h.event.Unacceptable != nil && h.unfit != "" {
			h.event.Unacceptable = fmt.Errorf("%w: %s", h.event.Unacceptable, h.unfit)
		}
		certificate = &h.identity.pair
	}
	event, renegotiated := h.event, h.over
	h.mu.Unlock()
	if renegotiated {
		event.Renegotiated, event.Took = true, 0
		h.pool.report(event)
	}
	return certificate, nil
}

// verifyConnection is tls.Config.VerifyConnection. For a resumed session it restores what was
// requested and sent in the first handshake, before anything of the session is used.
func (h *handshake) verifyConnection(state tls.ConnectionState) error {
	if state.DidResume {
		h.mu.Lock()
		h.event.Asked, h.event.Sent = h.resumed.asked, h.resumed.sent
		h.mu.Unlock()
	}
	if h.pool.tls.VerifyConnection != nil {
		return h.pool.tls.VerifyConnection(state)
	}
	return nil
}

// finish ends the first handshake. It checks MustBeAsked, explains an alert, and reports
// the handshake.
func (h *handshake) finish(state tls.ConnectionState, err error) error {
	h.mu.Lock()
	h.over = true
	h.event.Took, h.event.Version, h.event.Protocol = time.Since(h.start), state.Version, state.NegotiatedProtocol
	h.event.Resumed = state.DidResume
	if err == nil && h.identity != nil && h.pool.mustBeAsked && !h.event.Asked {
		err = ErrNotAsked // fail closed: the server would answer without an identity
	}
	if err != nil {
		err = signhint.Explain(explainAlert(err, h.identity, h.event.Asked, h.unfit))
	} else if state.Version == tls.VersionTLS13 && h.event.Asked && !state.DidResume {
		h.pool.refusals.pending.Add(1) // the server has yet to verify the certificate
	}
	h.event.Err = err
	event := h.event
	h.mu.Unlock()
	h.pool.report(event)
	return err
}

// askedAndSent returns the facts that are stored with a session.
func (h *handshake) askedAndSent() (asked, sent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.event.Asked, h.event.Sent
}

// dialTLS is DialTLSContext of a pool. No other function sends a certificate.
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
		h.event.Alias, h.event.Fingerprint = h.identity.alias, h.identity.fingerprint
	}
	if p.proxy != nil {
		h.event.Proxy = p.proxy.Redacted()
	}
	config := p.tls.Clone()
	config.ServerName = host
	config.GetClientCertificate, config.VerifyConnection = h.clientCertificate, h.verifyConnection
	config.ClientSessionCache = &sessionCache{p.sessions, addr, h}
	conn, err := p.handshake(ctx, raw, config, h.finish)
	if err != nil {
		return nil, err
	}
	if conn.ConnectionState().NegotiatedProtocol == "h2" {
		tracked.origin.Store(&h.event.Origin)
	}
	tracked.reportClose(conn, func(err error) { p.refusals.add(h.event.Origin, err) })
	return conn, nil
}

// handshake performs a handshake within Base's time limit and calls finish with its
// result. It closes raw if the handshake fails.
func (p *pool) handshake(ctx context.Context, raw net.Conn, config *tls.Config, finish func(tls.ConnectionState, error) error) (*tls.Conn, error) {
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
	if err = finish(conn.ConnectionState(), err); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// tlsConfig returns the configuration that all handshakes of a pool share: the base's,
// with the current roots.
func tlsConfig(base *tls.Config, roots *x509.CertPool) *tls.Config {
	config := &tls.Config{}
	if base != nil {
		config = base.Clone()
	}
	config.RootCAs = roots
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return config
}
