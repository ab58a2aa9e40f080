// Package allow decides who may use which outbound identity, by the policy that also
// decides who may call in. A service that acts for several callers cannot mix them
// up then: the identity of the request that it answers must be allowed the alias.
//
//	rules, err := policy.Load("outbound.csv", file, allow.Vocabulary()...)
//	use, err := allow.New(rules)
//	transport, err := outbound.New(outbound.Config{Allow: use, …})
//
// In the policy an alias is a path, and using it is the method USE on the port
// outbound:
//
//	p, user:alice,    outbound, USE, /partner-a, allow
//	p, group:billing, outbound, USE, /partner-b, allow
//
// Take a policy of its own. In one that also speaks about incoming requests, a rule
// for every port (*) and every path (/*) is one for every alias as well.
package allow

import (
	"context"
	"errors"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

// What a policy calls the use of an alias.
const (
	Port   = "outbound"
	Method = "USE"
)

// Vocabulary are the options by which a policy knows the port and the method, beside
// the ports that other options name.
func Vocabulary() []policy.Option {
	return []policy.Option{policy.WithPorts(Port), policy.WithMethods(Method)}
}

// New returns the function for outbound.Config.Allow. It asks the policy about the
// identity in the context, which middleware.Guard put there; the anonymous user is
// asked about as user:Default. Without an identity, and where the policy fails, it
// refuses. Its errors are *reason.Refusal.
func New(rules policy.Decider) (func(ctx context.Context, alias string) error, error) {
	if rules == nil {
		return nil, errors.New("allow: no policy")
	}
	return func(ctx context.Context, alias string) error {
		id, ok := identity.FromContext(ctx)
		if !ok {
			// Fail closed: a call that is made for nobody in particular has no guard in front.
			return reason.Refuse(reason.PolicyError, "no identity in the context; the call must be made with the context of the request that it is for")
		}
		decision, err := rules.Decide(ctx, policy.Request{User: id.User, Port: Port, Method: Method, Path: "/" + alias})
		switch {
		case err != nil:
			return &reason.Refusal{Reason: reason.PolicyError, Detail: err.Error(), Err: err}
		case decision.Allowed:
			return nil
		case decision.Reason == "":
			return reason.Refuse(reason.NoRule, "")
		}
		detail := id.User + " may not use " + alias
		if rule := decision.Rule.String(); rule != "" {
			detail += " (" + rule + ")"
		}
		return reason.Refuse(decision.Reason, detail)
	}, nil
}
