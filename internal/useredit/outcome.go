package useredit

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Outcome is what a certificate is on a port, before a change and after it.
type Outcome struct {
	Port   string        `json:"port"`
	Reason reason.Reason `json:"reason,omitempty"` // why the port does not trust the certificate; empty: it does
	Detail string        `json:"detail,omitempty"`
	Before Answer        `json:"before"`
	After  Answer        `json:"after"`
}

// Answer is the user of a certificate, or why it has none.
type Answer struct {
	User    string        `json:"user,omitempty"`
	Mapping string        `json:"mapping,omitempty"`
	Reason  reason.Reason `json:"reason,omitempty"`
	Detail  string        `json:"detail,omitempty"`
}

// Outcomes returns what a certificate, leaf first, is on each port that has users, before an edit
// and after it.
func (f *File) Outcomes(ctx context.Context, edit Edit, chain []*x509.Certificate, now func() time.Time) ([]Outcome, error) {
	if f.Config == nil {
		return nil, nil // no port is known
	}
	g, err := f.Config.Load(ctx, now)
	if err != nil {
		return nil, err
	}
	before, err := f.Load(nil)
	if err != nil {
		return nil, err
	}
	after, err := f.Load(edit)
	if err != nil {
		return nil, err
	}
	before, after = before.WithClock(now), after.WithClock(now)
	var out []Outcome
	for _, p := range g.AllPorts() {
		v := p.CallersTrust()
		if v == nil || !p.Authorizes() {
			continue
		}
		o := Outcome{Port: p.Config.Name}
		verified, err := v.Verify(ctx, chain)
		if err != nil {
			o.Reason, o.Detail = refusalOf(err)
		} else {
			o.Before, o.After = answer(ctx, before, verified, &p), answer(ctx, after, verified, &p)
		}
		out = append(out, o)
	}
	return out, nil
}

// answer returns the user of a verified certificate on a port, as the guard finds it.
func answer(ctx context.Context, t *certmap.Table, v trust.Verified, p *site.Port) Answer {
	match, err := t.Map(ctx, v, p.Config.Name)
	if err == nil {
		return Answer{User: match.User, Mapping: match.MappingID}
	}
	why, detail := refusalOf(err)
	if why == reason.Unmapped && !errors.Is(err, certmap.ErrDisabled) && p.Guard.Unmapped != "" {
		return Answer{User: p.Guard.Unmapped}
	}
	return Answer{Reason: why, Detail: detail}
}

// refusalOf returns the reason in an error. An unknown error is one of the policy: it does not
// let any caller in.
func refusalOf(err error) (reason.Reason, string) {
	if r, ok := errors.AsType[*reason.Refusal](err); ok {
		return r.Reason, r.Detail
	}
	return reason.PolicyError, err.Error()
}
