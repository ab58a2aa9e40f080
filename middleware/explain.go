package middleware

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Explain returns how an outcome came about, one step an element, as "name: text". The
// names are gateway, certificate, mapping, user, policy, quota, or the reason of a refusal. It is for
// operators: it names users, mappings and rules. It is safe for concurrent use.
func (g *Guard) Explain(o Outcome) []string {
	s := g.snapshot.Load()
	if s == nil {
		return nil
	}
	return s.explain(&o)
}

func (s *snapshot) explain(o *Outcome) []string {
	var steps []string
	add := func(name, format string, args ...any) {
		steps = append(steps, name+": "+fmt.Sprintf(format, args...))
	}
	if o.Detail != "" {
		add(string(o.Reason), "%s", o.Detail)
	}
	if !o.Gateway.IsZero() {
		add("gateway", "fingerprint %s, trusted until %s", o.Gateway.Fingerprint(), o.Gateway.Until().UTC())
	}
	if !o.Verified.IsZero() {
		add("certificate", "fingerprint %s, trusted until %s", o.Verified.Fingerprint(), o.Verified.Until().UTC())
		if m, ok := s.Map.(interface {
			Explain(trust.Verified, string) []certmap.Step
		}); ok {
			for _, step := range m.Explain(o.Verified, o.Port) {
				add("mapping", "%s", step)
			}
		} else {
			add("mapping", "by %T, which has no method Explain", s.Map)
		}
	}
	if o.Identity == nil {
		return steps
	}
	add("user", "%s, by %s, groups %q", o.Identity.User, o.Identity.Via, o.Identity.Groups)
	if e, ok := s.Policy.(interface {
		Explain(policy.Request) policy.Explanation
	}); ok {
		add("policy", "%s", e.Explain(policy.Request{User: o.Identity.User, Port: o.Port, Method: o.Method, Path: o.Path}))
	} else {
		add("policy", "by %T, which has no method Explain", s.Policy)
	}
	for _, q := range s.quotas.of(o) {
		add("quota", "%s", q)
	}
	return steps
}
