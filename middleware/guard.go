package middleware

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Guard lets a request through when its caller is known and allowed. It is safe
// for concurrent use. The zero value lets nothing through.
type Guard struct {
	snapshot atomic.Pointer[snapshot]
	ports    sync.Map // connstate.Port to nil: those whose connections it has served
}

// New builds a Guard. Every mistake is reported at once; a Config without Map and
// Policy is one.
func New(c Config) (*Guard, error) {
	g := &Guard{}
	if err := g.Reconfigure(c); err != nil {
		return nil, err
	}
	return g, nil
}

// Reconfigure puts another configuration in effect, for every request that begins from
// now on. Answers under way and hijacked connections whose certificates it does not trust,
// a gateway's included, end within a second. A bad one leaves the old in effect.
func (g *Guard) Reconfigure(c Config) error {
	s, err := compile(c)
	if err != nil {
		return err
	}
	s.guard = g
	g.snapshot.Store(s)
	g.ports.Range(func(port, _ any) bool {
		port.(connstate.Port).Recheck()
		return true
	})
	return nil
}

// Handler guards next: Identify and Authorize in one. It has the shape that chi's
// Use takes.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return &handler{g, func(w http.ResponseWriter, r *http.Request) { g.serve(next, everything, w, r) }}
}

// handler is what stands behind a Guard.
type handler struct {
	guard *Guard
	http.HandlerFunc
}

// CheckPorts is called by ports.Server. A server may have some of a guard's ports: an
// entry of PerPort for another is wrong only if a port here is left without one.
func (h *handler) CheckPorts(all ...*ports.Port) error {
	s := h.guard.snapshot.Load()
	if s == nil || s.Config.Ports == nil && !slices.ContainsFunc(all, func(p *ports.Port) bool { return s.ports[p.Name()] == nil }) {
		return nil
	}
	return h.guard.CheckPorts(all...)
}

// Identify does everything but ask the policy. What it lets through has an
// identity, and no right to anything yet: Authorize must follow inside.
func (g *Guard) Identify(next http.Handler) http.Handler {
	return &handler{g, func(w http.ResponseWriter, r *http.Request) { g.serve(next, naming, w, r) }}
}

// serve takes the steps that a request from outside needs, and hands it to next.
func (g *Guard) serve(next http.Handler, what stage, w http.ResponseWriter, r *http.Request) {
	s := g.snapshot.Load()
	if s == nil {
		refuseAll(w)
		return
	}
	var o Outcome
	o.hop = s.hear(w, r)
	s.clean(r)
	start := s.clock()
	if !s.guarded(r, &o, what) {
		s.settle(w, r, &o, start)
		return
	}
	ctx := identity.NewContext(r.Context(), o.Identity)
	if what == everything {
		s.observe(r, &o, start)
	} else { // Authorize has more to do, and observes then
		ctx = context.WithValue(ctx, passKey{}, &pass{guard: g, snapshot: s, outcome: o})
	}
	if o.hop != nil {
		o.hop.answer.begin(g, w, r, &o)
		defer o.hop.answer.end()
	}
	inner := s.passOn(r, ctx)
	defer keepForm(r, inner)
	next.ServeHTTP(w, inner)
}

// Authorize asks the policy about a request that Identify let through, with the
// path as the handler here sees it. Without Identify of the same guard outside it
// refuses.
func (g *Guard) Authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := g.snapshot.Load()
		if s == nil {
			refuseAll(w)
			return
		}
		p, ok := r.Context().Value(passKey{}).(*pass)
		if !ok || p.guard != g {
			// Fail closed: nobody has named the caller, or a guard with other rules has.
			o := Outcome{Method: r.Method, Path: sentPath(r), Generation: s.Generation}
			o.refuse(reason.PolicyError, "Authorize stands without Identify of the same guard outside it")
			s.settle(w, r, &o, s.clock())
			return
		}
		o := p.outcome
		s = p.snapshot // the generation that named the caller also decides
		start := s.clock()
		if !s.guarded(r, &o, deciding) {
			s.settle(w, r, &o, start)
			return
		}
		s.observe(r, &o, start)
		inner := withoutRawPath(r)
		defer keepForm(r, inner)
		next.ServeHTTP(w, inner)
	})
}

// pass is what Identify hands to Authorize.
type pass struct {
	guard    *Guard
	snapshot *snapshot
	outcome  Outcome
}

type passKey struct{}

// Check decides about a request without answering it and without changing it.
func (g *Guard) Check(r *http.Request) Outcome {
	var o Outcome
	s := g.snapshot.Load()
	if s == nil {
		o.refuse(reason.PolicyError, "the guard has no configuration")
		return o
	}
	r = r.Clone(r.Context()) // authenticators see what they see in Handler: a cleaned request
	o.hop = s.hear(nil, r)
	s.clean(r)
	s.guarded(r, &o, everything)
	return o
}

// settle tells of a refusal and answers it.
func (s *snapshot) settle(w http.ResponseWriter, r *http.Request, o *Outcome, start time.Time) {
	s.observe(r, o, start)
	s.answer(w, r, o)
}

func (s *snapshot) observe(r *http.Request, o *Outcome, start time.Time) {
	if s.Observe != nil {
		if s.Time {
			o.Duration = time.Since(start)
		}
		s.Observe(r, *o)
	}
}

// clock is read only where somebody wants to know the duration.
func (s *snapshot) clock() time.Time {
	if !s.Time {
		return time.Time{}
	}
	return time.Now()
}

// refuseAll answers for a guard that was never configured.
func refuseAll(w http.ResponseWriter) {
	var o Outcome
	o.refuse(reason.PolicyError, "")
	o.problem().Write(w)
}
