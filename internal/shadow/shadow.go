package policy

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/casbin/casbin/v2"

	"github.com/mtlsguard/mtlsguard/internal/backlog"
)

// Shadow asks Casbin again about a sample of what an engine has decided, off the
// request's way, and reports where the two differ. They never should: a difference
// is a defect of this package. The decision is always the engine's.
//
// Casbin's own enforcer is kept in memory for it, and one question costs time in
// proportion to the rules, so the sample should be small: what does not fit into a
// short backlog is left out and counted.
type Shadow struct {
	engine   *Engine // not embedded: no decision may pass by Decide
	every    uint64
	report   func(Difference)
	enforcer *casbin.Enforcer
	queue    *backlog.Queue[asked]

	decided, checked, different atomic.Uint64
}

// Difference is one request that Casbin decides otherwise.
type Difference struct {
	Request Request
	Engine  Decision
	Casbin  bool
	Err     error // of Casbin; a difference too
}

type asked struct {
	request  Request
	decision Decision
}

// shadowBacklog is how many questions may wait for Casbin.
const shadowBacklog = 64

// NewShadow shadows an engine: one decision of every so many is asked again. The
// report is called on a goroutine of its own, one difference after the other.
func NewShadow(e *Engine, every int, report func(Difference)) (*Shadow, error) {
	if every < 1 || report == nil {
		return nil, errors.New("policy: a shadow needs a sample of 1 in 1 or less, and somebody to report to")
	}
	enforcer, err := e.Enforcer()
	if err != nil {
		return nil, err
	}
	s := &Shadow{engine: e, every: uint64(every), report: report, enforcer: enforcer}
	s.queue = backlog.New(shadowBacklog, s.check)
	return s, nil
}

// Decide is the engine's Decide.
func (s *Shadow) Decide(ctx context.Context, r Request) (Decision, error) {
	d, err := s.engine.Decide(ctx, r)
	if err == nil && s.decided.Add(1)%s.every == 0 {
		r.Caller = nil // of a connection that may end meanwhile
		s.queue.Offer(asked{r, d})
	}
	return d, err
}

// Groups returns the engine's groups of a user.
func (s *Shadow) Groups(user string) []string { return s.engine.Groups(user) }

// Explain returns the engine's explanation of a request. Casbin is not asked about it.
func (s *Shadow) Explain(r Request) Explanation { return s.engine.Explain(r) }

// Fixed reports whether the groups of every user stay the same as long as d is in use:
// whether d is an *Engine or a *Shadow itself. What embeds one may answer otherwise.
func Fixed(d Decider) bool {
	switch d.(type) {
	case *Engine, *Shadow:
		return true
	}
	return false
}

// Checked is how many decisions Casbin was asked about, how many of them differed,
// and how many of the sample were left out because Casbin was too slow.
func (s *Shadow) Checked() (checked, different, left uint64) {
	return s.checked.Load(), s.different.Load(), s.queue.Dropped()
}

func (s *Shadow) check(all []asked) {
	for _, a := range all {
		s.checkOne(a)
	}
}

func (s *Shadow) checkOne(a asked) {
	ok, err := s.enforce(a.request)
	s.checked.Add(1)
	if err == nil && ok == a.decision.Allowed {
		return
	}
	s.different.Add(1)
	s.report(Difference{Request: a.request, Engine: a.decision, Casbin: ok, Err: err})
}

// enforce asks Casbin. A panic in it is an error.
func (s *Shadow) enforce(r Request) (ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			ok, err = false, fmt.Errorf("policy: Casbin panicked: %v", p)
		}
	}()
	return s.enforcer.Enforce(userPrefix+r.User, r.Port, r.Method, r.Path)
}
