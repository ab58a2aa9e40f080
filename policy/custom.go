package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/casbin/casbin/v2"

	"github.com/mtlsguard/mtlsguard/reason"
)

// customDecider decides by a Casbin enforcer with any model.
type customDecider struct {
	enforcer casbin.IEnforcer
	values   func(Request) []any
}

// NewCustom returns a Decider that calls a Casbin enforcer with a model of your own.
// The enforcer must be safe for concurrent use, as a casbin.SyncedEnforcer is. The
// function returns the values of the model's request definition; nil stands for
//
//	"user:NAME", port, method, path
//
// Casbin walks all lines of the policy for each request: about 10 µs at 10 rules,
// 0.7 ms at 1,000, more than 10 ms at 10,000. Nothing in the lines is checked, and a
// model whose effect allows what no line denies lets everybody in while the policy is
// empty. New and Load have neither problem. NewCustom therefore makes one request of a
// user whom no policy names, on an empty port, and fails if the enforcer allows it.
//
// An error and a panic of the enforcer refuse the request with PolicyError.
func NewCustom(e casbin.IEnforcer, values func(Request) []any) (Decider, error) {
	if e == nil {
		return nil, errors.New("policy: the enforcer is nil")
	}
	if values == nil {
		values = func(r Request) []any { return []any{userPrefix + r.User, r.Port, r.Method, r.Path} }
	}
	c := &customDecider{enforcer: e, values: values}
	stranger := Request{User: "nobody.mtlsguard.invalid", Port: "-", Method: "GET", Path: "/-/mtlsguard/canary"}
	switch d, err := c.Decide(context.Background(), stranger); {
	case err != nil:
		return nil, fmt.Errorf("policy: the enforcer cannot decide: %w", err)
	case d.Allowed:
		return nil, errors.New("policy: the enforcer allows a user whom no line names: the effect of its model is open by default")
	}
	return c, nil
}

func (c *customDecider) Decide(_ context.Context, r Request) (d Decision, err error) {
	defer func() {
		if p := recover(); p != nil {
			d, err = Decision{Reason: reason.PolicyError}, fmt.Errorf("policy: panic in Casbin: %v", p)
		}
	}()
	if !isUser(r.User) {
		return Decision{Reason: reason.PolicyError}, errUser // a user is never taken for a group
	}
	ok, line, err := c.enforcer.EnforceEx(c.values(r)...)
	switch {
	case err != nil:
		return Decision{Reason: reason.PolicyError}, fmt.Errorf("policy: %w", err)
	case ok:
		return Decision{Allowed: true, Rule: Position{Text: fmt.Sprint(line)}}, nil
	case len(line) > 0:
		return Decision{Reason: reason.Denied, Rule: Position{Text: fmt.Sprint(line)}}, nil
	}
	return Decision{Reason: reason.NoRule}, nil
}
