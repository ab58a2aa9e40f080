// Package allow decides by a policy which callers may use which outbound identity. A service
// that calls others on behalf of several callers cannot mix them up: the identity of the
// request that it answers must be allowed to use the alias.
//
//	rules, err := policy.Load("outbound.csv", file, allow.Vocabulary()...)
//	use, err := allow.New(rules)
//	transport, err := outbound.New(outbound.Config{Allow: use, …})
//
// In the policy, an alias is a path. To use it is the method USE on the port outbound:
//
//	p, user:alice,    outbound, USE, /partner-a, allow
//	p, group:billing, outbound, USE, /partner-b, allow
//
// Use a policy of its own. In a policy for incoming requests, a rule for every port (*) and
// every path (/*) would also allow every alias.
package allow

import (
	"context"
	"errors"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

// The port and the method of the use of an alias, in a policy.
const (
	port   = "outbound"
	method = "USE"
)

// Vocabulary returns the options that add the port outbound and the method USE to a policy,
// beside the ports and methods of other options.
func Vocabulary() []policy.Option {
	return []policy.Option{policy.WithPorts(port), policy.WithMethods(method)}
}

// New returns a function for outbound.Config.Allow. The function looks up the identity in
// the context, where middleware.Guard stores it, and decides by the policy; the anonymous
// user is user:Default. It refuses if there is no identity, and if the policy fails. Its
// errors are *reason.Refusal. It is safe for concurrent use if rules is.
func New(rules policy.Decider) (func(ctx context.Context, alias string) error, error) {
	if rules == nil {
		return nil, errors.New("allow: the policy is nil")
	}
	return func(ctx context.Context, alias string) error {
		id, ok := identity.FromContext(ctx)
		if !ok {
			// Fail closed: the call belongs to no request that a Guard has let through.
			return reason.Refuse(reason.PolicyError, "the context has no identity: make the call with the context of the request that it is for")
		}
		decision, err := rules.Decide(ctx, policy.Request{User: id.User, Port: port, Method: method, Path: "/" + alias})
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
