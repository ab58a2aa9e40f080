package middleware

import (
	"errors"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// mapUser finds the user of a verified certificate. A caller who has an identity already, from
// memory or without a certificate, keeps it.
func (s *snapshot) mapUser(c *call) bool {
	if c.Identity != nil {
		if c.memo == nil || c.hop != nil { // else the connection has its caller already
			c.setCaller()
		}
		return true
	}
	if c.Verified.Usage() != trust.UsageClient {
		c.refuse(reason.WrongUsage, "the certificate was not verified as a client's") // fail closed
		return false
	}
	match, err := s.Map.Map(c.request.Context(), c.Verified, c.Port)
	if err != nil {
		refusal, ok := errors.AsType[*reason.Refusal](err)
		if !ok {
			c.refuse(reason.PolicyError, "the mapper failed")
			return false
		}
		// Fail closed: a mapping that is disabled or out of its time matches. An operator who
		// disables a mapping shuts the certificate out, and does not make it the user for
		// unmapped ones.
		unmapped := refusal.Reason == reason.Unmapped && !errors.Is(err, certmap.ErrDisabled)
		if !unmapped || c.port.Unmapped == "" {
			c.refuse(refusal.Reason, refusal.Detail)
			if disabled, ok := errors.AsType[*certmap.DisabledError](err); ok {
				c.DisabledMapping = disabled.MappingID
			}
			return false
		}
		match.User, match.MappingID = c.port.Unmapped, ""
	} else if !username.IsUser(match.User) {
		c.refuse(reason.Unmapped, "the mapper returned a name that no user may have") // Default among them
		return false
	}
	c.Identity = s.newIdentity(c, match.User, c.via())
	c.Identity.MappingID = match.MappingID
	c.Identity.Leaf = c.Verified.Leaf()
	c.Identity.Fingerprint = c.Verified.Fingerprint().String()
	if err == nil && s.fixedGroups && s.mayReuse(&match) {
		c.who = callerOf(c.Identity)
		s.remember(c, &memo{snapshot: s, generation: match.Generation, identity: c.Identity, verified: c.Verified, until: match.Until, port: c.port, who: c.who})
	}
	c.setCaller()
	return true
}

// setCaller stores with the connection who makes the request, if it was another caller before.
// A request whose caller is remembered with the connection skips it.
func (c *call) setCaller() {
	if c.conn == nil {
		return // through a tunnel
	}
	before, now := c.conn.Caller(), c.who
	if now == nil {
		now = callerOf(c.Identity)
		if before != nil && *before == *now {
			return
		}
	}
	if before != now {
		c.conn.SetCaller(now)
	}
}

func callerOf(id *identity.Identity) *connstate.Caller {
	return &connstate.Caller{User: id.User, Mapping: id.MappingID, Via: string(id.Via)}
}

// via returns how the caller's certificate came to the guard.
func (c *call) via() identity.Via {
	switch {
	case c.tunnel != nil:
		return identity.Tunnel
	case c.hop != nil:
		return identity.Forwarded
	}
	return identity.TLS
}

// mayReuse reports whether an answer comes from the snapshot's own mapper. An answer that the
// mapper passed on from another one is not enough: a ban list around a certmap.Live has to be
// called for every request.
func (s *snapshot) mayReuse(m *certmap.Match) bool {
	return s.comparable && m.Source != nil && certmap.Mapper(m.Source) == s.Map
}

// isCurrent reports whether the mapper would still give the answers of a generation.
// There is one only where mayReuse was true before.
func (s *snapshot) isCurrent(generation uint64) bool {
	return s.source != nil && s.source.Generation() == generation
}

// newIdentity returns an identity with its groups.
func (s *snapshot) newIdentity(c *call, user string, via identity.Via) *identity.Identity {
	id := &identity.Identity{User: user, Port: c.Port, Via: via}
	if c.hop == nil && c.conn != nil {
		id.Remote = c.conn.RemoteIP() // behind a gateway callers share it, and what is remembered of them
	}
	switch {
	case s.groups != nil:
		id.Groups = s.groups.Groups(user)
	case user == identity.Default:
		id.Groups = []string{identity.Anonymous, identity.Everybody}
	default:
		id.Groups = []string{identity.Authenticated, identity.Everybody}
	}
	return id
}
