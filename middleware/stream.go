package middleware

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/rpccall"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
)

func init() {
	rpccall.Handler = func(guard any, next http.Handler) http.Handler {
		g := guard.(*Guard)
		return g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serveCall(next, w, r) }))
	}
}

// serveCall serves a call that the guard has let through, and keeps deciding about its stream.
func (g *Guard) serveCall(next http.Handler, w http.ResponseWriter, r *http.Request) {
	c, ok := w.(rpccall.Call)
	conn, hasConn := connstate.FromContext(r.Context())
	if ok && hasConn && c.Streams() {
		id, _ := identity.FromContext(r.Context())
		s := &stream{guard: g, conn: conn, call: c, user: id.User}
		conn.Track(s)
		defer conn.Untrack(s)
	}
	next.ServeHTTP(w, r)
}

// stream is a call with a stream of messages. A stream may last for days, and no further request
// would be decided about.
type stream struct {
	guard   *Guard
	conn    connstate.Conn
	call    rpccall.Call
	user    string
	decided atomic.Pointer[snapshot] // of the last decision here; nil: none yet
	ended   atomic.Bool
}

// streamRefusal is the decision that ends a stream.
type streamRefusal struct{ Outcome }

func (r *streamRefusal) Error() string { return string(r.Reason) }

// Check implements underway.Work. A decision may wait for the program's own mapper or policy,
// so it is made where waiting is allowed, and only if something has changed.
func (s *stream) Check(ctx context.Context, wait bool) error {
	current := s.guard.snapshot.Load()
	switch {
	case s.ended.Load() || s.isCurrent(current):
		return nil
	case !wait:
		return trustaccess.ErrUndecided
	}
	o := s.guard.Check(s.call.Request(ctx))
	if o.Allowed && o.Identity.User != s.user {
		o.refuse(reason.MappingExpired, "the certificate belongs to another user since the stream began") // its handler works for the former one
	}
	if !o.Allowed {
		return &streamRefusal{o}
	}
	s.decided.Store(current)
	return nil
}

// isCurrent reports whether the last decision still holds: the configuration, the mapping and
// the trust are the same, and so is what the clock makes of them.
func (s *stream) isCurrent(current *snapshot) bool {
	if s.decided.Load() != current {
		return false
	}
	if len(s.conn.Certificates()) == 0 {
		return true // the caller has no certificate that could expire
	}
	if m, ok := s.conn.Memo().(*memo); ok {
		return m.valid(current, current.verifier(s.conn, current.portNamed(s.conn.Port().Name())))
	}
	return trackedConn{s.guard, s.conn}.Check(context.Background(), false) == nil
}

// End implements underway.Work.
func (s *stream) End(why error) {
	if s.ended.Swap(true) {
		return
	}
	current := s.guard.snapshot.Load()
	c := call{request: s.call.Request(context.Background())}
	if refusal, ok := errors.AsType[*streamRefusal](why); ok {
		c.Outcome = refusal.Outcome
	} else {
		c.Outcome = Outcome{Port: s.conn.Port().Name(), Method: c.request.Method, Path: c.request.URL.Path, Generation: current.Generation}
		c.refuse(reason.PolicyError, "whether the stream may go on could not be decided") // fail closed
	}
	if current.Observe != nil {
		current.Observe(c.request, c.Outcome)
	}
	s.call.End(func(w http.ResponseWriter) { current.writeRefusal(w, &c) })
}
