package middleware

import (
	"fmt"
	"net/http"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Step is one part of an explanation.
type Step struct {
	Name string // target, gateway, certificate, mapping or policy
	Text string
}

// String returns "name: text".
func (s Step) String() string { return s.Name + ": " + s.Text }

// Explain tells how an outcome came about, step by step. It is for operators: it
// names users, mappings and rules.
func (g *Guard) Explain(r *http.Request, o Outcome) []Step {
	s := g.snapshot.Load()
	if s == nil {
		return nil
	}
	return s.explain(r, &o)
}

func (s *snapshot) explain(_ *http.Request, o *Outcome) []Step {
	var steps []Step
	add := func(name, format string, args ...any) {
		steps = append(steps, Step{name, fmt.Sprintf(format, args...)})
	}
	if o.Detail != "" {
		add(string(o.Reason), "%s", o.Detail)
	}
	if !o.Gateway.IsZero() {
		add("gateway", "fingerprint %s, believed until %s", o.Gateway.Fingerprint(), o.Gateway.Until().UTC())
	}
	if !o.Verified.IsZero() {
		add("certificate", "fingerprint %s, believed until %s", o.Verified.Fingerprint(), o.Verified.Until().UTC())
		if m, ok := s.Map.(interface {
			Explain(trust.Verified, string) []certmap.Step
		}); ok {
			for _, step := range m.Explain(o.Verified, o.Port) {
				add("mapping", "%s", step)
			}
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
	}
	return steps
}
