package middleware

import (
	"context"
	"net/http"
	"net/url"
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
		s.clean(r)
		start := s.clock()
		if !s.guarded(r, &o, everything) {
			s.settle(w, r, &o, start)
			return
		}
		s.observe(r, &o, start)
		next.ServeHTTP(w, s.passOn(r, identity.NewContext(r.Context(), o.Identity)))
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
		if !s.guarded(r, &o, naming) {
			s.settle(w, r, &o, start)
			return
		}
		ctx := identity.NewContext(r.Context(), o.Identity)
		next.ServeHTTP(w, s.passOn(r, context.WithValue(ctx, passKey{}, &pass{guard: g, snapshot: s, outcome: o})))
	})
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
		next.ServeHTTP(w, withoutRawPath(r))
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
	s.clean(r)
	s.guarded(r, &o, everything)
	return o
}

// stage says which of the guard's steps to take. It is not a func, so that an
// Outcome can stay on the stack.
type stage uint8

const (
	everything stage = iota
	naming           // steps 1 to 4
	deciding         // step 5, for what is served here
)

// guarded takes steps so that a panic in a mapper, a decider or an authenticator is
// a refusal.
func (s *snapshot) guarded(r *http.Request, o *Outcome, what stage) (passed bool) {
	defer func() {
		if p := recover(); p != nil {
			o.refuse(reason.PolicyError, "a part of the guard panicked")
			passed = false
		}
	}()
	switch what {
	case everything:
		return s.name(r, o) && s.authorise(r, o)
	case naming:
		return s.name(r, o)
	default:
		return s.authoriseHere(r, o)
	}
}

// name is steps 1 to 4: is the target clear, and who is calling?
func (s *snapshot) name(r *http.Request, o *Outcome) bool {
	o.Method, o.Generation = r.Method, s.Generation
	c, ok := ports.FromContext(r.Context())
	if !ok || r.TLS == nil {
		// Fail closed: something between the port and us has hidden the connection, and
		// with it whatever certificate there was.
		o.Path = sentPath(r)
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
		o.Path = sentPath(r)
		refusal := err.(*reason.Refusal) // both return nothing else
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
		switch {
		case d.Reason == "":
			o.refuse(reason.NoRule, "")
		case !d.Reason.Known():
			o.refuse(reason.Denied, "the policy answered with a word of its own") // which may say more than a caller may know
		default:
			o.refuse(d.Reason, "")
		}
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
	renamed := r.Method != o.Method
	o.Method = r.Method
	why := ""
	if renamed && !s.port(o.Port).methods[r.Method] {
		why = "the method is not known"
	}
	if path := r.URL.Path; why == "" && path != o.Path {
		o.Path = path
		why = checkDecoded(path)
	}
	if why == "" {
		why = checkRouted(r)
	}
	if why != "" {
		o.refuse(reason.AmbiguousPath, why)
		return false
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

// passOn returns the request as the handler sees it: with its identity, with the
// path that was authorised in both forms of the URL, and without trailers that
// state an identity.
func (s *snapshot) passOn(r *http.Request, ctx context.Context) *http.Request {
	inner := r.WithContext(ctx)
	if r.URL.RawPath != "" {
		inner.URL = plainURL(r)
	}
	if inner.Trailer != nil {
		s.cleanTrailers(inner)
	}
	return inner
}

// withoutRawPath returns the request with the path that was authorised in both
// forms of the URL.
func withoutRawPath(r *http.Request) *http.Request {
	if r.URL.RawPath == "" {
		return r
	}
	inner := r.WithContext(r.Context())
	inner.URL = plainURL(r)
	return inner
}

// plainURL is the URL without its escaped form: routers that look at it (chi does)
// would serve another path than the one decided on.
func plainURL(r *http.Request) *url.URL {
	u := *r.URL
	u.RawPath = ""
	return &u
}

// refuseAll answers for a guard that was never configured.
func refuseAll(w http.ResponseWriter) {
	var o Outcome
	o.refuse(reason.PolicyError, "")
	writeProblem(w, o.problem(), nil)
}
