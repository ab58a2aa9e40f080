package middleware

import (
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

// decide lets the policy decide whether the caller may make the request. The quotas count the
// requests that it allows.
func (s *snapshot) decide(c *call) bool {
	q := policy.Request{User: c.Identity.User, Port: c.Port, Method: c.Method, Path: c.Path}
	if c.memo != nil {
		q.Caller = &c.memo.caller // the policy keeps there what it finds out about the user
	}
	d, err := s.Policy.Decide(c.request.Context(), q)
	c.Rule = d.Rule
	if err == nil && d.Allowed {
		if s.quotas != nil && !c.checked && !s.withinQuotas(c) {
			return false
		}
		c.Allowed = true
		return true
	}
	c.refuseDecision(d.Reason, err)
	return false
}

// refuseDecision refuses a request that the policy does not allow.
//
//go:noinline // its frame, see handler.ServeHTTP
func (c *call) refuseDecision(why reason.Reason, err error) {
	switch {
	case err != nil:
		c.refuse(reason.PolicyError, "the policy could not decide") // fail closed
	case why == "":
		c.refuse(reason.NoRule, "")
	case !why.Known():
		c.refuse(reason.Denied, "the policy returned an unknown reason") // its text may hold more than a caller may learn
	default:
		c.refuse(why, "")
	}
	if c.Identity.Via == identity.ViaAnonymous {
		c.challenge()
	}
}
