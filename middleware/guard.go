package middleware

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/internal/tunnel"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Guard lets a request through when its caller is known and allowed. It is safe
// for concurrent use. The zero value refuses every request.
type Guard struct {
	snapshot      atomic.Pointer[snapshot]
	reconfiguring sync.Mutex
	ports         sync.Map // connstate.Port to nil: the ports whose connections the guard has served
}

// New builds a Guard. The error lists everything that is wrong with the configuration; a
// Config without Map and Policy is an error.
func New(c Config) (*Guard, error) {
	g := &Guard{}
	if err := g.Reconfigure(c); err != nil {
		return nil, err
	}
	return g, nil
}

// Reconfigure replaces the configuration for every request that begins from now on.
// Answers under way and hijacked connections whose certificates the new configuration does
// not trust, a gateway's included, end within a second. An error leaves the current
// configuration in effect.
func (g *Guard) Reconfigure(c Config) error {
	g.reconfiguring.Lock() // otherwise two calls could take over the counts of one quota twice
	defer g.reconfiguring.Unlock()
	s, err := compile(c, g.snapshot.Load())
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
// Use takes. A nil next is an error of ports.Server, and of every request, but for ports with
// ForwardAuth, which need none.
func (g *Guard) Handler(next http.Handler) http.Handler {
	var wrong error
	if isNil(next) {
		wrong, next = errWithoutNext, http.HandlerFunc(failWithoutNext)
	}
	return &handler{g, wrong, next, lastDecide}
}

// Identify does everything except the policy decision. A request that it lets through has an
// identity and no rights yet: Authorize must follow inside.
func (g *Guard) Identify(next http.Handler) http.Handler {
	if isNil(next) {
		return withoutNext(g)
	}
	return &handler{g, nil, next, lastMap}
}

// handler is a guarded handler that ports.Server can check.
type handler struct {
	guard *Guard
	wrong error // CheckPorts returns it
	next  http.Handler
	last  last
}

// isNil reports whether there is no handler.
func isNil(h http.Handler) bool {
	f, ok := h.(http.HandlerFunc)
	return h == nil || ok && f == nil
}

// withoutNext returns a handler in place of one that would guard nothing.
func withoutNext(g *Guard) http.Handler {
	return &failing{handler{guard: g, wrong: errWithoutNext}}
}

// failing is a handler that fails every request.
type failing struct{ handler }

func (*failing) ServeHTTP(w http.ResponseWriter, r *http.Request) { failWithoutNext(w, r) }

var errWithoutNext = errors.New("middleware: the guard has no handler to protect: pass one to Handler, Identify or Authorize")

// failWithoutNext answers 500: a panic would only close the connection, and name no cause.
func failWithoutNext(w http.ResponseWriter, r *http.Request) {
	problem.Failure(http.StatusInternalServerError).Write(w, r)
}

// CheckPorts is called by ports.Server. A server may have some of a guard's ports: an
// entry of PerPort for another is wrong only if a port here is left without one.
func (h *handler) CheckPorts(all ...*ports.Port) error {
	s := h.guard.snapshot.Load()
	if h.wrong != nil && (s == nil || slices.ContainsFunc(all, func(p *ports.Port) bool { return s.portNamed(p.Name()).ForwardAuth == nil })) {
		return h.wrong
	}
	if s == nil || s.Config.Ports == nil && !slices.ContainsFunc(all, func(p *ports.Port) bool { return s.ports[p.Name()] == nil }) {
		return nil
	}
	return h.guard.CheckPorts(all...)
}

// call is one request on its way through the guard, with the outcome so far.
type call struct {
	Outcome
	request *http.Request
	conn    connstate.Conn    // nil: the request came by no port
	tunnel  *tunnel.Caller    // nil: the request came through no tunnel
	port    *port             // nil: neither, or something hides the TLS connection
	hop     *hop              // nil on a port without gateways
	memo    *memo             // what is remembered of the caller; may be nil
	who     *connstate.Caller // what is remembered for setCaller; may be nil
	closes  bool              // a refusal ends the connection
	checked bool              // the request is not served, and no quota counts it
	quota   *usedUp           // the quota that refuses the request; nil: none does
}

// last is the last step that the guard takes. It is no func, so that a call can stay on the
// stack.
type last uint8

const (
	lastMap    last = iota // for Identify
	lastDecide             // for Handler and Check
	onlyDecide             // for Authorize
)

// passes takes the guard's steps. It returns false where one of them refuses the request. A
// panic in a mapper, a policy or an authenticator is a refusal.
func (s *snapshot) passes(c *call, l last) (passed bool) {
	defer func() {
		if p := recover(); p != nil {
			c.refuse(reason.PolicyError, "a part of the guard panicked")
			passed = false
		}
		if !passed {
			c.describeClient()
		}
		if c.ClientIP != "" {
			c.setRemote()
		}
	}()
	if l == onlyDecide {
		return s.checkRewritten(c) && s.decide(c)
	}
	if !s.readQuestion(c) || !s.checkTarget(c) || !s.verify(c) || !s.mapUser(c) {
		return false
	}
	return l == lastMap && !c.answersQuestions() || s.decide(c) && c.canBeAnswered()
}

// ServeHTTP takes the steps that a request from outside needs, and hands it to next. The stack of
// the steps is free again when next runs: on HTTP/2 each request has a new goroutine, whose stack
// has to grow for deep calls.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	inner, behind, own := h.guard.admit(h.last, w, r)
	if inner == nil {
		return
	}
	if behind != nil {
		defer behind.answer.end()
	}
	defer passForm(r, inner)
	if own == nil {
		own = h.next
	}
	own.ServeHTTP(w, inner)
}

// admit takes the steps, and returns the request as the handler sees it, with its hop, and the
// port's own handler if that has one. It returns nil after a refusal or a question, which it has
// answered.
//
//go:noinline // its frame, see handler.ServeHTTP
func (g *Guard) admit(l last, w http.ResponseWriter, r *http.Request) (inner *http.Request, behind *hop, own http.Handler) {
	s := g.snapshot.Load()
	if s == nil {
		refuseUnconfigured(w, r)
		return nil, nil, nil
	}
	var c call // and no literal, which would be built beside it
	c.request = r
	s.clean(&c, w)
	start := s.startTime()
	passed := s.passes(&c, l)
	if c.answersQuestions() {
		s.observe(&c, start)
		c.answerQuestion(w)
		return nil, nil, nil
	}
	if !passed {
		s.observe(&c, start)
		s.writeRefusal(w, &c)
		return nil, nil, nil
	}
	seen := &innerRequest{ctx: identityContext{r.Context(), c.Identity}}
	ctx := context.Context(&seen.ctx)
	if l == lastMap { // Authorize has more to do, and observes then
		ctx = withIdentified(ctx, g, s, &c)
	} else {
		own = c.port.Handler // never before the policy has decided
		s.observe(&c, start)
	}
	if c.hop != nil {
		c.hop.answer.begin(g, w, &c)
	}
	return s.strip(&seen.request, r, ctx), c.hop, own
}

// Check decides about a request without answering it and without changing it. No quota counts
// it or refuses it.
func (g *Guard) Check(r *http.Request) Outcome {
	c := call{request: r.Clone(r.Context()), checked: true} // authenticators see what they see in Handler: a cleaned request
	s := g.snapshot.Load()
	if s == nil {
		c.refuse(reason.PolicyError, "the guard has no configuration")
		return c.Outcome
	}
	s.clean(&c, nil)
	s.passes(&c, lastDecide)
	return c.Outcome
}
