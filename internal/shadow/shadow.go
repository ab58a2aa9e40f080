// Package shadow compares a sample of the decisions of a policy.Engine with Casbin's, in
// the background.
package shadow

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/casbin/casbin/v2"

	"github.com/mtlsguard/mtlsguard/internal/backlog"
	"github.com/mtlsguard/mtlsguard/policy"
)

// Policy decides as its engine does, and repeats a sample of the decisions with Casbin
// in the background. It reports the decisions that differ: each is a defect of package
// policy. It keeps a Casbin enforcer in memory, whose time grows with the number of
// rules, so the sample should be small: decisions that do not fit into a short backlog
// are dropped and counted.
type Policy struct {
	engine   *policy.Engine // not embedded: every decision must go through Decide
	every    uint64
	report   func(Difference)
	enforcer *casbin.Enforcer
	queue    *backlog.Queue[decided]

	decisions, checked, different atomic.Uint64
}

// Difference is one request that Casbin decides differently.
type Difference struct {
	Request policy.Request
	Engine  policy.Decision
	Casbin  bool  // Casbin allows the request
	Err     error // of Casbin: it could not decide
}

// decided is a request and the engine's decision.
type decided struct {
	request  policy.Request
	decision policy.Decision
}

// maxWaiting bounds the backlog.
const maxWaiting = 64

// New shadows an engine: it repeats one decision in every so many, from 1. It calls
// report on a goroutine of its own, with one difference after the other.
func New(e *policy.Engine, every int, report func(Difference)) (*Policy, error) {
	if every < 1 {
		return nil, fmt.Errorf("%d is not a sample: 1 compares every decision, 1000 one in a thousand", every)
	}
	if report == nil {
		return nil, errors.New("a shadow needs a function that reports differences")
	}
	enforcer, err := e.Enforcer()
	if err != nil {
		return nil, err
	}
	p := &Policy{engine: e, every: uint64(every), report: report, enforcer: enforcer}
	p.queue = backlog.New(backlog.Bounds{Most: maxWaiting, Batch: maxWaiting}, nil, p.check)
	return p, nil
}

// Decide returns the engine's decision.
func (p *Policy) Decide(ctx context.Context, r policy.Request) (policy.Decision, error) {
	d, err := p.engine.Decide(ctx, r)
	if err == nil && p.decisions.Add(1)%p.every == 0 {
		r.Caller = nil // the connection may end before the check
		p.queue.Offer(decided{r, d})
	}
	return d, err
}

// Groups returns the engine's groups of a user.
func (p *Policy) Groups(user string) []string { return p.engine.Groups(user) }

// Explain returns the engine's explanation of a request.
func (p *Policy) Explain(r policy.Request) policy.Explanation { return p.engine.Explain(r) }

// Counts returns how many decisions were compared, how many of these differed, and how
// many of the sample were dropped because Casbin was too slow.
func (p *Policy) Counts() (checked, different, dropped uint64) {
	return p.checked.Load(), p.different.Load(), p.queue.Dropped()
}

func (p *Policy) check(all []decided) {
	for _, a := range all {
		ok, err := p.enforce(a.request)
		p.checked.Add(1)
		if err == nil && ok == a.decision.Allowed {
			continue
		}
		p.different.Add(1)
		p.report(Difference{Request: a.request, Engine: a.decision, Casbin: ok, Err: err})
	}
}

// enforce returns Casbin's decision. A panic in Casbin becomes an error.
func (p *Policy) enforce(r policy.Request) (ok bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			ok, err = false, fmt.Errorf("panic in Casbin: %v", v)
		}
	}()
	return p.enforcer.Enforce("user:"+r.User, r.Port, r.Method, r.Path)
}
