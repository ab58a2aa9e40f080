package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/casbin/casbin/v2"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Custom lets a Casbin enforcer with a model of the user's own decide. Nothing is
// compiled: what a model means only Casbin knows, so every request is decided by
// Enforce, correct first.
//
// That has its price. Casbin walks all lines of the policy for a request: some 10 µs
// at 10 rules, 0.7 ms at 1,000, more than 10 ms at 10,000. And the model is the
// user's: an effect that allows what nothing denies lets everyone in while the
// policy is empty. New and Load have neither trouble.
type Custom struct {
	enforcer casbin.IEnforcer
	request  func(Request) []any
}

// NewCustom takes an enforcer that is safe for concurrent use, a
// casbin.SyncedEnforcer say, and a function that makes the values of the model's
// request definition from a request. A nil function makes
//
//	"user:NAME", port, method, path
//
// Before it is taken, the enforcer is asked about a user whom no policy names, on an
// empty port: a model that allows that allows everything.
func NewCustom(e casbin.IEnforcer, request func(Request) []any) (*Custom, error) {
	if e == nil {
		return nil, errors.New("policy: the enforcer is nil")
	}
	if request == nil {
		request = func(r Request) []any { return []any{userPrefix + r.User, r.Port, r.Method, r.Path} }
	}
	c := &Custom{enforcer: e, request: request}
	nobody := Request{User: "nobody.mtlsguard.invalid", Port: "-", Method: "GET", Path: "/-/mtlsguard/canary"}
	switch d, err := c.Decide(context.Background(), nobody); {
	case err != nil:
		return nil, fmt.Errorf("policy: the enforcer cannot decide: %w", err)
	case d.Allowed:
		return nil, errors.New("policy: the enforcer allows a user whom nobody named: its effect is open by default")
	}
	return c, nil
}

// Decide asks the enforcer. Any error, and any panic in it, is a no.
func (c *Custom) Decide(_ context.Context, r Request) (d Decision, err error) {
	defer func() {
		if p := recover(); p != nil {
			d, err = Decision{Reason: reason.PolicyError}, fmt.Errorf("policy: Casbin panicked: %v", p)
		}
	}()
	if !isUser(r.User) {
		return Decision{Reason: reason.PolicyError}, ErrUser // a user is never read as a group
	}
	ok, line, err := c.enforcer.EnforceEx(c.request(r)...)
	switch {
	case err != nil:
		return Decision{Reason: reason.PolicyError}, fmt.Errorf("policy: %w", err)
	case ok:
		return Decision{Allowed: true, Rule: fmt.Sprint(line)}, nil
	case len(line) > 0:
		return Decision{Reason: reason.Denied, Rule: fmt.Sprint(line)}, nil
	}
	return Decision{Reason: reason.NoRule}, nil
}
