package middleware

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/presented"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// hop is the gateway that a request came by, and the certificate that it forwards. It
// belongs to one request: a gateway mixes callers on one connection.
type hop struct {
	certificate forwarded.RawCertificate
	refused     *reason.Refusal // the connection is not a gateway's
	answer      answer
}

// readForwarded reads the certificate that a gateway forwards, before its header is deleted.
// It reads from connections whose own certificate is a gateway's, and from no others.
func (s *snapshot) readForwarded(c *call, w http.ResponseWriter) {
	p := c.port
	if w != nil {
		w.Header().Add("Vary", p.vary) // RFC 9440 section 2.4
	}
	c.hop = &hop{}
	if c.Gateway, c.hop.refused = s.verifyGateway(c.request.Context(), c.conn, p); c.hop.refused == nil {
		c.hop.certificate = p.Forwarded.Read(c.request.Header, c.request.Trailer)
		c.readClientIP()
	}
}

// readClientIP reads the address that the gateway forwards. It is for logs and handlers alone: a
// request without one is decided as any other.
func (c *call) readClientIP() {
	switch ip, configured := c.port.Forwarded.ClientIP(c.request.Header); {
	case ip.IsValid():
		c.ClientIP = ip.String()
	case configured:
		c.ClientIP = "unknown"
	}
}

// setRemote gives the identity the address that the gateway forwards. The identity may be
// remembered, and used by other requests with other addresses: it is copied.
//
//go:noinline // its frame, see handler.ServeHTTP
func (c *call) setRemote() {
	ip, err := netip.ParseAddr(c.ClientIP)
	if err != nil || c.Identity == nil || c.Identity.Remote == ip {
		return // unknown, refused, or set already
	}
	own := *c.Identity
	own.Remote = ip
	c.Identity = &own
}

// gatewayMemo is kept with a connection whose certificate is a gateway's.
type gatewayMemo struct {
	snapshot *snapshot
	verified trust.Verified
}

// verifyGateway verifies the certificate of the connection itself.
func (s *snapshot) verifyGateway(ctx context.Context, c connstate.Conn, p *port) (trust.Verified, *reason.Refusal) {
	v := p.Forwarded.GatewayTrust()
	if m, ok := c.Memo().(*gatewayMemo); ok && m.snapshot == s && trustaccess.IsCurrent(v, m.verified) {
		return m.verified, nil
	}
	verified, err := c.VerifiedBy(ctx, v)
	switch refusal, ok := err.(*reason.Refusal); {
	case err == nil && !p.Forwarded.IsGateway(verified):
		return verified, errNotGateway
	case err == nil:
		s.track(c)
		c.SetMemo(&gatewayMemo{snapshot: s, verified: verified})
		return verified, nil
	case !ok:
		return verified, reason.Refuse(reason.BadCertificate, "the gateway's certificate could not be verified")
	case refusal.Reason == reason.UnknownAuthority:
		return verified, reason.Refuse(reason.UntrustedGateway, "the connection's certificate, of "+escape.Quote(dn.Print(&c.Certificates()[0].Subject), escape.Short)+", leads to no trust anchor for gateways")
	default:
		return verified, refusal
	}
}

// verifyBehindGateway verifies the certificate that a gateway forwards over its connection.
func (s *snapshot) verifyBehindGateway(c *call) bool {
	if refused := c.hop.refused; refused != nil {
		if refused.Reason == reason.NoCertificate && !c.answersQuestions() {
			return s.identifyWithoutCertificate(c) // whatever certificate the client forwards does not count
		}
		c.refuse(refused.Reason, refused.Detail)
		c.closes = true
		return false
	}
	return s.verifyForwarded(c, func(ctx context.Context) (trust.Verified, error) {
		return c.port.Forwarded.Verify(ctx, c.hop.certificate)
	})
}

// verifyForwarded verifies a certificate that a gateway forwards, over its own connection or
// through a tunnel. The connection stays open whatever the result: other callers share it.
func (s *snapshot) verifyForwarded(c *call, verify func(context.Context) (trust.Verified, error)) bool {
	verified, err := verify(c.request.Context())
	if err != nil {
		c.Presented = presented.In(err)
		refusal, ok := err.(*reason.Refusal)
		switch {
		case !ok:
			c.refuse(reason.BadCertificate, "the forwarded certificate could not be verified")
		case refusal.Reason == reason.NoCertificate:
			return s.identifyWithoutCertificate(c)
		default:
			c.refuse(refusal.Reason, refusal.Detail)
		}
		return false
	}
	if verified.IsZero() {
		c.refuse(reason.BadCertificate, "no certificate was verified") // fail closed: this cannot be
		return false
	}
	c.Verified = verified
	s.recall(c)
	return true
}
