package middleware

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/policycache"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// memo is what a connection remembers of its caller. It is valid for one snapshot,
// one generation of the mappings, and the time that certificate and mapping allow.
// That of Default, without a certificate, is valid for its snapshot.
type memo struct {
	snapshot *snapshot
	mapped   uint64 // generation of the snapshot's mapper
	identity *identity.Identity
	port     *port             // of the connection
	caller   policycache.Entry // what the policy looked up about the user on this port
	verified trust.Verified    // zero for Default
	until    time.Time         // of the mapping; zero: no end
	sure     atomic.Int64      // the port's tick in which the clock was read and the end is far away
}

// far is how long beyond its beginning a tick could last, and more.
const far = 5 * time.Second

// holds reports whether the memo speaks for the present.
func (m *memo) holds(s *snapshot, v *trust.Verifier, tick int64) bool {
	if m.snapshot != s || v == nil || m.verified.Generation() != v.Generation() || !s.current(m.mapped) {
		return false
	}
	return sure(&m.sure, v, tick, m)
}

func (m *memo) inForce(at time.Time) bool {
	return m.verified.ValidAt(at) && (m.until.IsZero() || at.Before(m.until))
}

// sure reports whether something is in force by v's clock, which it reads once a
// tick where the end is far away.
func sure(since *atomic.Int64, v *trust.Verifier, tick int64, what interface{ inForce(time.Time) bool }) bool {
	if tick > 0 && since.Load() == tick {
		return true
	}
	now := trustaccess.Now(v)
	if !what.inForce(now) {
		return false
	}
	if trustaccess.UsesSystemClock(v) && what.inForce(now.Add(far)) {
		since.Store(tick)
	}
	return true
}

// identify finds out who is calling: steps 2 to 4. It fills o and reports whether
// the caller has a name.
func (s *snapshot) identify(r *http.Request, c connstate.Conn, p *port, o *Outcome) bool {
	if p.Forwarded != nil {
		return s.identifyForwarded(r, c, p, o)
	}
	v := s.trust(c, p)
	if m, ok := c.Memo().(*memo); ok && m.holds(s, v, c.Port().Tick()) {
		o.Identity, o.Verified, o.memo = m.identity, m.verified, m
		return true
	}
	verified, err := c.VerifiedBy(r.Context(), v)
	if err != nil {
		refusal, ok := err.(*reason.Refusal) // it returns nothing else
		switch {
		case !ok:
			o.refuse(reason.BadCertificate, "the certificate could not be judged")
		case refusal.Reason == reason.NoCertificate:
			return s.withoutCertificate(r, c, p, o)
		default:
			o.refuse(refusal.Reason, refusal.Detail)
		}
		o.closes = true // a certificate was sent and is not accepted: never anonymous, never a password
		return false
	}
	s.track(c)
	o.Verified = verified
	return s.mapUser(r, identity.TLS, p, o, func(m *memo) { c.SetMemo(m) })
}

// trust judges the certificates of a connection.
func (s *snapshot) trust(c connstate.Conn, p *port) *trust.Verifier {
	if p.Trust != nil {
		return p.Trust
	}
	return c.Port().Trust()
}

// mapUser is step 3. What may be remembered is given to keep.
func (s *snapshot) mapUser(r *http.Request, via identity.Via, p *port, o *Outcome, keep func(*memo)) bool {
	if o.Verified.Usage() != trust.UsageClient {
		o.refuse(reason.WrongUsage, "the certificate was not judged as a client's") // fail closed: it is nobody's
		return false
	}
	match, err := s.Map.Map(r.Context(), o.Verified, o.Port)
	if err != nil {
		refusal, ok := errors.AsType[*reason.Refusal](err)
		if !ok {
			o.refuse(reason.PolicyError, "the mapper failed")
			return false
		}
		// Fail closed: a mapping that is disabled or out of its time matches. Whoever disables
		// it shuts the certificate out, and does not make it the user for unmapped ones.
		unmapped := refusal.Reason == reason.Unmapped && !errors.Is(err, certmap.ErrDisabled)
		if !unmapped || p.Unmapped == "" {
			o.refuse(refusal.Reason, refusal.Detail)
			return false
		}
		match.User, match.MappingID = p.Unmapped, ""
	} else if !username.IsUser(match.User) {
		o.refuse(reason.Unmapped, "the mapper answered with a name that no user may have") // Default among them
		return false
	}
	o.Identity = s.named(match.User, via, o)
	o.Identity.MappingID = match.MappingID
	o.Identity.Leaf = o.Verified.Leaf()
	o.Identity.Fingerprint = o.Verified.Fingerprint().String()
	if err == nil && s.steady && s.mayReuse(&match) {
		keep(&memo{snapshot: s, mapped: match.Generation, identity: o.Identity, verified: o.Verified, until: match.Until, port: p})
	}
	return true
}

// mayReuse reports whether the snapshot's own mapper vouches for an answer. One that
// it passed on from another mapper is not enough: a ban list around a certmap.Live has
// to be asked again for every request.
func (s *snapshot) mayReuse(m *certmap.Match) bool {
	return s.reusable && m.Source != nil && certmap.Mapper(m.Source) == s.Map
}

// current reports whether the mapper would still give the answers of a generation.
// There is one only where mayReuse was true before.
func (s *snapshot) current(generation uint64) bool {
	return s.source != nil && s.source.Generation() == generation
}

// withoutCertificate is step 4: nothing was sent. c is nil for a tunnelled request,
// which leaves nothing with a connection.
func (s *snapshot) withoutCertificate(r *http.Request, c connstate.Conn, p *port, o *Outcome) bool {
	if p.Forwarded == nil && c != nil && c.Port().RequiresCertificate() {
		o.refuse(reason.NoCertificate, "a port that requires a certificate has a connection without one") // fail closed: this cannot be
		return false
	}
	for _, a := range p.Authenticators {
		user, err := a.Authenticate(r)
		switch {
		case err != nil:
			detail := "an authenticator failed"
			if errors.Is(err, ErrCredentials) {
				detail = "wrong credentials"
			}
			o.refuse(reason.NoCertificate, detail) // wrong is wrong: not the next authenticator, not Default
			o.challenge(p)
			return false
		case user == "":
		case !username.IsUser(user):
			o.refuse(reason.NoCertificate, "an authenticator answered with a name that no user may have")
			return false
		default:
			o.Identity = s.named(user, identity.Authenticator, o)
			return true
		}
	}
	if p.Fallback != ToDefault {
		o.refuse(reason.NoCertificate, "strict: no certificate, no request")
		o.challenge(p)
		return false
	}
	if c != nil {
		if m, ok := c.Memo().(*memo); ok && m.snapshot == s && m.identity.Via == identity.ViaAnonymous {
			o.Identity = m.identity
			return true
		}
	}
	o.Identity = s.named(identity.Default, identity.ViaAnonymous, o)
	if s.steady && p.Forwarded == nil && c != nil {
		c.SetMemo(&memo{snapshot: s, identity: o.Identity})
	}
	return true
}

// named makes an identity with its groups.
func (s *snapshot) named(user string, via identity.Via, o *Outcome) *identity.Identity {
	id := &identity.Identity{User: user, Port: o.Port, Via: via}
	switch {
	case s.grouped != nil:
		id.Groups = s.grouped.Groups(user)
	case user == identity.Default:
		id.Groups = []string{identity.Anonymous, identity.Everybody}
	default:
		id.Groups = []string{identity.Authenticated, identity.Everybody}
	}
	return id
}
