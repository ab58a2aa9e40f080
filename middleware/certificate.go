package middleware

import (
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/policycache"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// verify verifies the caller's certificate: of the connection, or as a gateway forwards it.
// A caller without one gets its identity from identifyWithoutCertificate. A certificate that
// is not trusted never becomes anonymous, and never leads to a password.
func (s *snapshot) verify(c *call) bool {
	switch {
	case c.tunnel != nil:
		return s.verifyForwarded(c, c.tunnel.Verify)
	case c.port.Forwarded != nil:
		return s.verifyBehindGateway(c)
	}
	v := s.verifier(c.conn, c.port)
	if m, ok := c.conn.Memo().(*memo); ok && m.valid(s, v) {
		c.Identity, c.Verified, c.memo = m.identity, m.verified, m
		return true
	}
	verified, err := c.conn.VerifiedBy(c.request.Context(), v)
	if err != nil {
		refusal, ok := err.(*reason.Refusal) // it returns nothing else
		switch {
		case !ok:
			c.refuse(reason.BadCertificate, "the certificate could not be verified")
		case refusal.Reason == reason.NoCertificate:
			return s.identifyWithoutCertificate(c)
		default:
			c.refuse(refusal.Reason, refusal.Detail)
		}
		c.closes = true
		return false
	}
	s.track(c.conn)
	c.Verified = verified
	return true
}

// verifier returns the verifier for the certificate of a connection.
func (s *snapshot) verifier(c connstate.Conn, p *port) *trust.Verifier {
	if p.Trust != nil {
		return p.Trust
	}
	return c.Port().Trust()
}

// memo is what is remembered of a caller, with its connection or by its fingerprint. It is
// valid for one snapshot, one generation of the mappings, and the time that certificate and
// mapping allow. The memo of Default, without a certificate, is valid for its snapshot.
type memo struct {
	snapshot   *snapshot
	generation uint64 // of the snapshot's mapper
	identity   *identity.Identity
	who        *connstate.Caller // identity, for the connection; without a certificate in it
	port       *port             // of the connection
	caller     policycache.Entry // what the policy looked up about the user on this port
	verified   trust.Verified    // zero for Default
	until      time.Time         // the end of the mapping; zero: it has no end
}

// valid reports whether the remembered identity still matches the configuration and the clock.
//
// It reads the clock for every request. A clock of the port's own, which moved once a second,
// saved about 0.1 µs a request, and needed the port, the verifier and this package to agree on
// it.
func (m *memo) valid(s *snapshot, v *trust.Verifier) bool {
	return m.snapshot == s && v != nil && trustaccess.IsCurrent(v, m.verified) && s.isCurrent(m.generation) &&
		(m.until.IsZero() || trustaccess.Now(v).Before(m.until))
}

// UserName is for connstate.Conn.End.
func (m *memo) UserName() string { return m.identity.User }

// size estimates the memory that a memo holds: that of its certificates.
func (m *memo) size() int {
	n := 1 << 10
	for _, chain := range m.verified.Chains() {
		for _, c := range chain[:max(1, len(chain)-1)] { // the anchor belongs to the verifier
			n += 4<<10 + 2*len(c.Raw)
		}
	}
	return n
}

// remember keeps what was found out about the caller: with the connection, or, where callers
// share connections, by the fingerprint of the certificate.
func (s *snapshot) remember(c *call, m *memo) {
	switch {
	case c.hop == nil && c.tunnel == nil:
		c.conn.SetMemo(m)
	case m.until.IsZero(): // otherwise the mapping may expire: the mapper is called each time
		c.port.callers.PutSized(c.callerKey(), m, m.size())
	}
}

// recall finds a caller whose certificate a gateway forwards.
func (s *snapshot) recall(c *call) {
	// The same verification result, and not only the same leaf: with other issuers beside it
	// a leaf may lead to another anchor, and to another user.
	if m, ok := c.port.callers.Get(c.callerKey()); ok && m.verified == c.Verified && s.isCurrent(m.generation) {
		c.Identity, c.memo, c.who = m.identity, m, m.who
	}
}

// callerKey holds the port's name: ports without settings of their own share the memory, and
// their mappings may differ.
func (c *call) callerKey() string {
	fingerprint := c.Verified.Fingerprint()
	return string(fingerprint[:]) + c.Port
}
