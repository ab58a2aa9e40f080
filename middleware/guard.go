package middleware

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Guard lets a request through when its caller is known and allowed. It is safe
// for concurrent use. The zero value lets nothing through.
type Guard struct {
	snapshot atomic.Pointer[snapshot]
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

// Reconfigure puts another configuration in force, for every request that begins
// from now on. A bad one leaves the old in force.
func (g *Guard) Reconfigure(c Config) error {
	s, err := compile(c)
	if err != nil {
		return err
	}
	g.snapshot.Store(s)
	return nil
}

// Handler guards next: Identify and Authorize in one. It has the shape that chi's
// Use takes.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := g.snapshot.Load()
		if s == nil {
			refuseAll(w)
			return
		}
		var o Outcome
		s.run(w, r, &o, func(r *http.Request, o *Outcome) bool {
			return s.name(r, o) && s.authorise(r, o)
		}, func() {
			next.ServeHTTP(w, passOn(r, o.Identity))
		})
	})
}

// Identify does everything but ask the policy. What it lets through has an
// identity, and no right to anything yet: Authorize must follow inside.
func (g *Guard) Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := g.snapshot.Load()
		if s == nil {
			refuseAll(w)
			return
		}
		var o Outcome
		s.clean(r)
		start := s.clock()
		if !s.guarded(r, &o, s.name) {
			s.settle(w, r, &o, start)
			return
		}
		inner := passOn(r, o.Identity)
		next.ServeHTTP(w, inner.WithContext(context.WithValue(inner.Context(), passKey{}, &pass{snapshot: s, outcome: o})))
	})
}

// Authorize asks the policy about a request that Identify let through, with the
// path as the handler here sees it. Without Identify outside it refuses.
func (g *Guard) Authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := r.Context().Value(passKey{}).(*pass)
		if !ok {
			refuseAll(w) // fail closed: nobody has named the caller
			return
		}
		o, s := p.outcome, p.snapshot // the generation that named the caller also decides
		start := s.clock()
		if !s.guarded(r, &o, s.authoriseHere) {
			s.settle(w, r, &o, start)
			return
		}
		s.observe(r, &o, start)
		next.ServeHTTP(w, r)
	})
}

// pass is what Identify hands to Authorize.
type pass struct {
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
	s.guarded(r, &o, func(r *http.Request, o *Outcome) bool { return s.name(r, o) && s.authorise(r, o) })
	return o
}

// run is one request through the guard.
func (s *snapshot) run(w http.ResponseWriter, r *http.Request, o *Outcome, steps func(*http.Request, *Outcome) bool, next func()) {
	s.clean(r)
	start := s.clock()
	if !s.guarded(r, o, steps) {
		s.settle(w, r, o, start)
		return
	}
	s.observe(r, o, start)
	next()
}

// guarded runs steps so that a panic in a mapper, a decider or an authenticator is
// a refusal.
func (s *snapshot) guarded(r *http.Request, o *Outcome, steps func(*http.Request, *Outcome) bool) (passed bool) {
	defer func() {
		if p := recover(); p != nil {
			o.refuse(reason.PolicyError, "a part of the guard panicked")
			passed = false
		}
	}()
	return steps(r, o)
}

// name is steps 1 to 4: is the target clear, and who is calling?
func (s *snapshot) name(r *http.Request, o *Outcome) bool {
	o.Method, o.Path, o.Generation = r.Method, sentPath(r), s.Generation
	c, ok := ports.FromContext(r.Context())
	if !ok || r.TLS == nil {
		// Fail closed: something between the port and us has hidden the connection, and
		// with it whatever certificate there was.
		o.refuse(reason.Misdirected, "the request did not come by a port: is ports.ConnContext set, and nothing wrapped around the listener?")
		return false
	}
	o.Port = c.Port().Name()
	p := s.port(o.Port)
	path, err := checkTarget(r, p.methods)
	if err == nil {
		err = p.checkNames(c.ServerName(), r.Host)
	}
	if err != nil {
		refusal := err.(*reason.Refusal) //nolint:errorlint // both return nothing else
		o.refuse(refusal.Reason, refusal.Detail)
		return false
	}
	o.Path = path
	return s.identify(r, c, p, o)
}

// authorise is step 5.
func (s *snapshot) authorise(r *http.Request, o *Outcome) bool {
	d, err := s.Policy.Decide(r.Context(), policy.Request{User: o.Identity.User, Port: o.Port, Method: o.Method, Path: o.Path})
	o.Rule = d.Rule
	switch {
	case err != nil:
		o.refuse(reason.PolicyError, "the policy could not decide") // an error means no
	case !d.Allowed:
		why := d.Reason
		if why == "" {
			why = reason.NoRule
		}
		o.refuse(why, "")
	default:
		o.Allowed = true
		return true
	}
	if o.Identity.Via == identity.AnonymousVia {
		o.challenge(s.port(o.Port))
	}
	return false
}

// authoriseHere is step 5 for a request that may have been rewritten since it was
// named: what is authorised is what is served here.
func (s *snapshot) authoriseHere(r *http.Request, o *Outcome) bool {
	o.Method = r.Method
	if path := r.URL.Path; path != o.Path {
		if why := checkDecoded(path); why != "" || !s.port(o.Port).methods[r.Method] {
			o.refuse(reason.AmbiguousPath, why)
			return false
		}
		o.Path = path
	}
	return s.authorise(r, o)
}

// settle tells of a refusal and answers it.
func (s *snapshot) settle(w http.ResponseWriter, r *http.Request, o *Outcome, start time.Time) {
	s.observe(r, o, start)
	s.answer(w, r, o)
}

func (s *snapshot) observe(r *http.Request, o *Outcome, start time.Time) {
	if s.Observe != nil {
		o.Duration = time.Since(start)
		s.Observe(r, *o)
	}
}

// clock is read only where somebody wants to know the duration.
func (s *snapshot) clock() time.Time {
	if s.Observe == nil {
		return time.Time{}
	}
	return time.Now()
}

// passOn returns the request as the handler sees it: with its identity, and with
// the path that was authorised in both forms of the URL.
func passOn(r *http.Request, id *identity.Identity) *http.Request {
	inner := r.WithContext(identity.NewContext(r.Context(), id))
	if r.URL.RawPath != "" {
		// Routers that look at the escaped form (chi does) would serve another path
		// than the one decided on.
		u := *r.URL
		u.RawPath = ""
		inner.URL = &u
	}
	return inner
}

// refuseAll answers for a guard that was never configured or stands alone.
func refuseAll(w http.ResponseWriter) {
	writeProblem(w, problem{Type: reason.PolicyError.URI(), Title: reason.PolicyError.Title(), Status: reason.PolicyError.Status(), Reason: reason.PolicyError}, nil)
}
