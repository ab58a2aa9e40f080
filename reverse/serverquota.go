package reverse

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/internal/connlimit"
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

// statedCaller tells callers apart before anything of them is verified: by the text of
// the leaf that the gateway states, or without one by address (an IPv6 /64).
type statedCaller struct {
	leaf string
	addr netip.Prefix
}

func statedCallerOf(h http.Header, remote string) statedCaller {
	if leaf, ok := single(h, "Client-Cert"); ok {
		return statedCaller{leaf: leaf}
	}
	addr, _ := netip.ParseAddrPort(remote)
	return statedCaller{addr: connlimit.Of(addr)}
}

// running are the handlers that run, by caller and by the contexts of their requests.
type running struct {
	mu       sync.Mutex
	byCaller map[statedCaller]map[context.Context]struct{}
}

// add counts a handler for a caller. It reports false for a caller that has left
// handlers behind and has as many as there are places free. The gateway gives every
// caller a share, but what a caller breaks off does not count there any more: one
// that breaks off again and again would have all places. Callers that wait for their
// answers are the gateway's matter.
func (r *running) add(c statedCaller, ctx context.Context, free int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := r.byCaller[c]
	if int64(len(own)) >= free {
		for other := range own {
			if other.Err() != nil {
				return false
			}
		}
	}
	if own == nil {
		own = map[context.Context]struct{}{}
		r.byCaller[c] = own
	}
	own[ctx] = struct{}{}
	return true
}

// remove forgets a handler.
func (r *running) remove(c statedCaller, ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := r.byCaller[c]
	if delete(own, ctx); len(own) == 0 {
		delete(r.byCaller, c)
	}
}

// admit counts a handler for its caller, for a tunnel and for the server: the handlers
// of tunnels that have ended may still run. give gives all of it back; with an error
// there is nothing to give back.
func (s *Server) admit(ctx context.Context, t *serverEnd, c statedCaller) (give func(), err error) {
	if !s.running.add(c, ctx, s.handlers.most-s.handlers.running.Load()) {
		return nil, errLeft
	}
	if !t.handlers.take() {
		s.running.remove(c, ctx)
		return nil, errHandlers
	}
	if !s.handlers.take() {
		t.handlers.give()
		s.running.remove(c, ctx)
		return nil, errHandlers
	}
	return func() {
		s.handlers.give()
		t.handlers.give()
		s.running.remove(c, ctx)
	}, nil
}

var (
	errHandlers = errors.New("reverse: too many handlers run")
	errLeft     = errors.New("reverse: too many handlers run for a caller that has left some of them behind")
)

// refuseBusy answers a request for which no handler may start. Where it is not the
// caller's own fault, the gateway reads the kind, and tries other tunnels first for a
// while.
func (s *Server) refuseBusy(w http.ResponseWriter, says *stated, err error) {
	s.observe(Event{Kind: Unavailable, Services: s.config.Services, Remote: says.remote, Err: err})
	if err == errHandlers {
		w.Header()[headerKind] = []string{kindBusy}
	}
	unavailable(w)
}
