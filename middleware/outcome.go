package middleware

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Outcome is a decision about one request.
type Outcome struct {
	Allowed    bool
	Status     int                // of the answer to a refusal: 400, 401, 403, 421 or 503
	Reason     reason.Reason      // why it is refused; empty when it is allowed
	Detail     string             // for logs: more about the reason, safe to print, never for the caller
	Identity   *identity.Identity // nil where the caller could not be named; treat it as read-only
	Verified   trust.Verified     // the caller's certificate, where one is believed
	Gateway    trust.Verified     // behind a gateway: the gateway's own, or what was shown in its place
	Port       string             // empty where the request came by no port
	Method     string
	Path       string          // as it was authorised; as it was sent where it was refused before
	Rule       policy.Position // the rule of the policy that decided; zero without one
	Reference  string          // of a refusal: the same in the answer and in the log
	Challenges []string
	Generation uint64
	Duration   time.Duration // the guard's own time; only where Config.Time is set

	closes bool  // the connection's certificate is not believed any more
	hop    *hop  // nil on a port without gateways
	memo   *memo // what the connection remembered, or nil
}

// refuse makes an outcome a refusal. A word that is not of the list comes from a
// plug-in that went wrong.
func (o *Outcome) refuse(r reason.Reason, detail string) {
	if !r.Known() {
		r = reason.PolicyError
	}
	o.Allowed, o.Reason, o.Detail, o.Status = false, r, detail, r.Status()
	o.Reference = fmt.Sprintf("%016x", rand.Uint64())
}

// challenge turns the refusal of a caller without a certificate into a 401, where
// the port has something to ask for.
func (o *Outcome) challenge(p *port) {
	if o.Status == reason.NoRule.Status() && len(p.challenges) > 0 {
		o.Status, o.Challenges = 401, p.challenges
	}
}
