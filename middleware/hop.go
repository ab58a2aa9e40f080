package middleware

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// hop is the gateway that a request came by, and what it states of the caller. It
// belongs to one request: a gateway mixes callers on one connection.
type hop struct {
	gateway   trust.Verified
	statement forwarded.RawCertificate
	refused   *reason.Refusal // the connection is no gateway's
	answer    answer
}

// hear takes what a gateway states, before clean deletes it. On a port without
// gateways it is nil. Only a connection whose own certificate is a gateway's is
// listened to.
func (s *snapshot) hear(w http.ResponseWriter, r *http.Request) *hop {
	if !s.forwards {
		return nil
	}
	c, ok := connstate.FromContext(r.Context())
	if !ok {
		return nil
	}
	p := s.port(c.Port().Name())
	if p.Forwarded == nil {
		return nil
	}
	if w != nil {
		w.Header().Add("Vary", p.vary) // RFC 9440 section 2.4
	}
	h := &hop{}
	if h.gateway, h.refused = s.gateway(r, c, p); h.refused == nil {
		h.statement = p.Forwarded.Read(r.Header, r.Trailer)
	}
	return h
}

// gatewayMemo is a connection's: its certificate is a gateway's.
type gatewayMemo struct {
	snapshot *snapshot
	verified trust.Verified
	sure     atomic.Int64 // as in memo
}

func (m *gatewayMemo) inForce(at time.Time) bool { return m.verified.ValidAt(at) }

// gateway judges the certificate of the connection itself.
func (s *snapshot) gateway(r *http.Request, c connstate.Conn, p *port) (trust.Verified, *reason.Refusal) {
	v := p.Forwarded.GatewayTrust()
	if m, ok := c.Memo().(*gatewayMemo); ok && m.snapshot == s && m.verified.Generation() == v.Generation() && sure(&m.sure, v, c.Port().Tick(), m) {
		return m.verified, nil
	}
	verified, err := c.VerifiedBy(r.Context(), v)
	switch refusal, ok := err.(*reason.Refusal); {
	case err == nil && !p.Forwarded.IsGateway(verified):
		return verified, errNoGateway
	case err == nil:
		s.track(c)
		c.SetMemo(&gatewayMemo{snapshot: s, verified: verified})
		return verified, nil
	case !ok:
		return verified, reason.Refuse(reason.BadCertificate, "the gateway's certificate could not be judged")
	case refusal.Reason == reason.UnknownAuthority:
		return verified, reason.Refuse(reason.UntrustedGateway, "the connection's certificate is issued by no authority for gateways")
	default:
		return verified, refusal
	}
}

// identifyForwarded is steps 2 to 4 behind a gateway.
func (s *snapshot) identifyForwarded(r *http.Request, c connstate.Conn, p *port, o *Outcome) bool {
	h := o.hop
	if h == nil {
		o.refuse(reason.PolicyError, "nobody has listened to the gateway") // fail closed: this cannot be
		return false
	}
	o.Gateway = h.gateway
	if h.refused != nil {
		if h.refused.Reason == reason.NoCertificate {
			return s.withoutCertificate(r, c, p, o) // nobody's connection, and nothing that it states counts
		}
		o.refuse(h.refused.Reason, h.refused.Detail)
		o.closes = true
		return false
	}
	verified, err := p.Forwarded.Verify(r.Context(), h.statement)
	if err != nil {
		refusal, ok := err.(*reason.Refusal)
		switch {
		case !ok:
			o.refuse(reason.BadCertificate, "the stated certificate could not be judged")
		case refusal.Reason == reason.NoCertificate:
			return s.withoutCertificate(r, c, p, o)
		default:
			o.refuse(refusal.Reason, refusal.Detail) // the connection stays: it is the gateway's, and others' too
		}
		return false
	}
	o.Verified = verified
	key := verified.Fingerprint()
	// The same judgement, and not only the same leaf: by other issuers beside it a leaf
	// may lead to another anchor, and be somebody else.
	if m, ok := p.stated.Get(string(key[:])); ok && m.verified == verified && s.current(m.mapped) {
		o.Identity, o.memo = m.identity, m
		return true
	}
	return s.mapUser(r, identity.Forwarded, p, o, func(m *memo) {
		if m.until.IsZero() { // else the mapping ends some day, and is asked
			p.stated.PutSized(string(key[:]), m, m.size())
		}
	})
}
