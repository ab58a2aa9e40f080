package middleware

import (
	"errors"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/reason"
)

// identifyWithoutCertificate identifies a caller by the port's authenticators. If none of them
// identifies the caller, the caller becomes the user Default or is refused.
func (s *snapshot) identifyWithoutCertificate(c *call) bool {
	p := c.port
	if p.Forwarded == nil && c.conn != nil && c.conn.Port().RequiresCertificate() {
		c.refuse(reason.NoCertificate, "a port that requires a certificate has a connection without one") // fail closed: this cannot be
		return false
	}
	for _, a := range p.Authenticators {
		user, err := a.Authenticate(c.request)
		switch {
		case err != nil:
			detail := "an authenticator failed"
			if wrong, ok := errors.AsType[*CredentialsError](err); ok && wrong != nil {
				detail, c.ClaimedUser = "wrong credentials", wrong.User
			}
			c.refuse(reason.BadCredentials, detail) // wrong is wrong: not the next authenticator, not Default
			c.challenge()
			return false
		case user == "":
		case !username.IsUser(user):
			c.refuse(reason.NoCertificate, "an authenticator returned a name that no user may have")
			return false
		default:
			c.Identity = s.newIdentity(c, user, identity.Authenticator)
			return true
		}
	}
	if p.Fallback != ToDefault {
		c.refuse(reason.NoCertificate, "strict: no certificate, no request"+c.requested())
		c.challenge()
		return false
	}
	if c.conn != nil {
		if m, ok := c.conn.Memo().(*memo); ok && m.snapshot == s && m.identity.Via == identity.ViaAnonymous {
			c.Identity, c.who = m.identity, m.who
			return true
		}
	}
	c.Identity = s.newIdentity(c, identity.Default, identity.ViaAnonymous)
	if s.fixedGroups && p.Forwarded == nil && c.conn != nil {
		c.conn.SetMemo(&memo{snapshot: s, identity: c.Identity, who: callerOf(c.Identity)})
	}
	return true
}

// requested returns the CA names that the connection's port sent to its client. Behind a gateway it
// is empty: the gateway requests the certificates, not the port.
func (c *call) requested() string {
	if c.conn == nil || c.hop != nil {
		return ""
	}
	return "; " + c.conn.Port().Requested()
}
