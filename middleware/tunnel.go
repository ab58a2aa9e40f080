package middleware

import (
	"net/http"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/tunnel"
	"github.com/mtlsguard/mtlsguard/reason"
)

// nameTunnelled is steps 1 to 4 for a request that came through a tunnel of package
// reverse. The tunnel is a port with a name; the caller is whom the gateway states,
// never the gateway.
func (s *snapshot) nameTunnelled(r *http.Request, c *tunnel.Caller, o *Outcome) bool {
	o.Port, o.Gateway = c.Port, c.Gateway
	p := s.port(o.Port)
	path, err := checkTarget(r, p)
	if err == nil {
		err = p.checkNames(c.ServerName, r.Host)
	}
	if err != nil {
		o.Path = sentPath(r)
		refusal := err.(*reason.Refusal) // both return nothing else
		o.refuse(refusal.Reason, refusal.Detail)
		return false
	}
	o.Path = path
	return s.identifyTunnelled(r, c, p, o)
}

func (s *snapshot) identifyTunnelled(r *http.Request, c *tunnel.Caller, p *port, o *Outcome) bool {
	verified, err := c.Verify(r.Context())
	if err != nil {
		refusal, ok := err.(*reason.Refusal)
		switch {
		case !ok:
			o.refuse(reason.BadCertificate, "the stated certificate could not be judged")
		case refusal.Reason == reason.NoCertificate:
			return s.withoutCertificate(r, nil, p, o)
		default:
			o.refuse(refusal.Reason, refusal.Detail) // the tunnel stays: it is others' too
		}
		return false
	}
	if verified.IsZero() {
		o.refuse(reason.BadCertificate, "nobody was verified") // fail closed: this cannot be
		return false
	}
	o.Verified = verified
	fingerprint := verified.Fingerprint()
	key := string(fingerprint[:]) + o.Port // ports without settings of their own share the memory, and may map differently
	if m, ok := p.stated.Get(key); ok && m.verified == verified && s.current(m.mapped) {
		o.Identity, o.memo = m.identity, m
		return true
	}
	return s.mapUser(r, identity.Tunnel, p, o, func(m *memo) {
		if m.until.IsZero() { // else the mapping ends some day, and is asked
			p.stated.Put(key, m)
		}
	})
}
