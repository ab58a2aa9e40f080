package reverse

import (
	"errors"
	"net/http"
	"sync/atomic"
)

// quota bounds how many handlers run at one time. A handler counts until it returns:
// a caller that breaks off gives its place at the gateway back, but it does not stop
// a handler that ignores its context.
type quota struct {
	most    int64
	running atomic.Int64
}

// take counts a handler. It reports false when too many run.
func (q *quota) take() bool {
	for {
		n := q.running.Load()
		if n >= q.most {
			return false
		}
		if q.running.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (q *quota) give() { q.running.Add(-1) }

// admit counts a handler for a tunnel and for the server: the handlers of tunnels
// that have ended may still run. It reports false when there is nothing to give back.
func (s *Server) admit(t *serverEnd) bool {
	if !t.handlers.take() {
		return false
	}
	if !s.handlers.take() {
		t.handlers.give()
		return false
	}
	return true
}

func (s *Server) giveBack(t *serverEnd) {
	s.handlers.give()
	t.handlers.give()
}

var errHandlers = errors.New("reverse: too many handlers run")

// refuseBusy answers a request for which no handler may start. The gateway reads the
// kind, and tries other tunnels first for a while.
func (s *Server) refuseBusy(w http.ResponseWriter, says *stated) {
	s.observe(Event{Kind: Unavailable, Services: s.config.Services, Remote: says.remote, Err: errHandlers})
	w.Header()[headerKind] = []string{kindBusy}
	unavailable(w)
}
