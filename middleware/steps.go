package middleware

import (
	"net/http"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/tunnel"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

// stage says which of the guard's steps to take. It is not a func, so that an
// Outcome can stay on the stack.
type stage uint8

const (
	everything stage = iota
	naming           // steps 1 to 4
	deciding         // step 5, for what is served here
)

// guarded takes steps so that a panic in a mapper, a decider or an authenticator is
// a refusal.
func (s *snapshot) guarded(r *http.Request, o *Outcome, what stage) (passed bool) {
	defer func() {
		if p := recover(); p != nil {
			o.refuse(reason.PolicyError, "a part of the guard panicked")
			passed = false
		}
	}()
	switch what {
	case everything:
		return s.name(r, o) && s.authorise(r, o)
	case naming:
		return s.name(r, o)
	default:
		return s.authoriseHere(r, o)
	}
}

// name is steps 1 to 4: is the target clear, and who is calling?
func (s *snapshot) name(r *http.Request, o *Outcome) bool {
	o.Method, o.Generation = r.Method, s.Generation
	c, ok := connstate.FromContext(r.Context())
	if !ok {
		if t, ok := tunnel.FromContext(r.Context()); ok {
			return s.nameTunnelled(r, t, o)
		}
	}
	if !ok || r.TLS == nil {
		// Fail closed: something between the port and us has hidden the connection, and
		// with it whatever certificate there was.
		o.Path = sentPath(r)
		o.refuse(reason.Misdirected, "the request did not come by a port: is ports.ConnContext set, and nothing wrapped around the listener?")
		return false
	}
	o.Port = c.Port().Name()
	p := s.portOf(c)
	path, err := checkTarget(r, p)
	if err == nil {
		err = p.checkNames(c.ServerName(), r.Host)
	}
	if err != nil {
		o.Path = sentPath(r)
		if p.Forwarded == nil {
			o.Verified, _ = c.VerifiedBy(r.Context(), s.trust(c, p)) // for the log: it is still nobody's request
		} else if o.hop != nil {
			o.Gateway = o.hop.gateway
		}
		refusal := err.(*reason.Refusal) // both return nothing else
		o.refuse(refusal.Reason, refusal.Detail)
		return false
	}
	o.Path = path
	return s.identify(r, c, p, o)
}

// authorise is step 5.
func (s *snapshot) authorise(r *http.Request, o *Outcome) bool {
	d, err := s.decide(r, o)
	o.Rule = d.Rule
	switch {
	case err != nil:
		o.refuse(reason.PolicyError, "the policy could not decide") // an error means no
	case !d.Allowed:
		switch {
		case d.Reason == "":
			o.refuse(reason.NoRule, "")
		case !d.Reason.Known():
			o.refuse(reason.Denied, "the policy answered with a word of its own") // which may say more than a caller may know
		default:
			o.refuse(d.Reason, "")
		}
	default:
		o.Allowed = true
		return true
	}
	if o.Identity.Via == identity.ViaAnonymous {
		o.challenge(s.port(o.Port))
	}
	return false
}

// decide asks the policy, and lets it remember the caller with the connection.
func (s *snapshot) decide(r *http.Request, o *Outcome) (policy.Decision, error) {
	q := policy.Request{User: o.Identity.User, Port: o.Port, Method: o.Method, Path: o.Path}
	if o.memo != nil {
		q.Caller = &o.memo.caller
	}
	return s.Policy.Decide(r.Context(), q)
}

// authoriseHere is step 5 for a request that may have been rewritten since it was
// named: what is authorised is what is served here.
func (s *snapshot) authoriseHere(r *http.Request, o *Outcome) bool {
	renamed := r.Method != o.Method
	o.Method = r.Method
	why := ""
	if renamed && !s.port(o.Port).knows(r.Method) {
		why = "the method is not known"
	}
	if path := r.URL.Path; why == "" && path != o.Path {
		o.Path = path
		why = checkDecoded(path)
	}
	if why == "" {
		why = checkRouted(r)
	}
	if why != "" {
		o.refuse(reason.AmbiguousPath, why)
		return false
	}
	return s.authorise(r, o)
}
