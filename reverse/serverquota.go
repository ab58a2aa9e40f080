package reverse

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/internal/connlimit"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
)

// handlerLimit limits how many handlers run at one time. A handler counts until it returns:
// a caller that cancels its request frees its place at the gateway, but does not stop a
// handler that ignores its context.
type handlerLimit struct {
	max     int64
	running atomic.Int64
}

// begin counts a handler. It reports false if too many run.
func (l *handlerLimit) begin() bool {
	for {
		n := l.running.Load()
		if n >= l.max {
			return false
		}
		if l.running.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (l *handlerLimit) end() { l.running.Add(-1) }

// callerKey distinguishes callers before their certificates are verified: by the text of
// the forwarded leaf, or without one by address (an IPv6 /64).
type callerKey struct {
	leaf string
	addr netip.Prefix
}

func callerKeyOf(h http.Header, remote string) callerKey {
	if leaf, ok := wire.SingleValue(h, "Client-Cert"); ok {
		return callerKey{leaf: leaf}
	}
	addr, _ := netip.ParseAddrPort(remote)
	return callerKey{addr: connlimit.Of(addr)}
}

// handlersByCaller has the running handlers of each caller, by the contexts of their
// requests.
type handlersByCaller struct {
	mu      sync.Mutex
	running map[callerKey]map[context.Context]struct{}
}

// begin counts a handler of a caller; free is the number of free places. It reports false
// for a caller that has cancelled requests whose handlers still run, and has at least as
// many handlers as there are free places. The gateway limits each caller to a share, but
// cancelled requests do not count there: by cancelling again and again one caller could
// occupy all places here. Requests that are not cancelled are the gateway's to limit.
func (h *handlersByCaller) begin(k callerKey, ctx context.Context, free int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := h.running[k]
	if int64(len(own)) >= free {
		for other := range own {
			if other.Err() != nil {
				return false
			}
		}
	}
	if own == nil {
		own = map[context.Context]struct{}{}
		h.running[k] = own
	}
	own[ctx] = struct{}{}
	return true
}

func (h *handlersByCaller) end(k callerKey, ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := h.running[k]
	if delete(own, ctx); len(own) == 0 {
		delete(h.running, k)
	}
}

// beginHandler counts a handler for its caller, its tunnel and the server: handlers of
// tunnels that have ended may still run. end must be called when the handler has returned;
// after an error there is nothing to end.
func (s *Server) beginHandler(ctx context.Context, t *serverTunnel, k callerKey) (end func(), err error) {
	if !s.byCaller.begin(k, ctx, s.handlers.max-s.handlers.running.Load()) {
		return nil, errAbandonedHandlers
	}
	if !t.handlers.begin() {
		s.byCaller.end(k, ctx)
		return nil, errTooManyHandlers
	}
	if !s.handlers.begin() {
		t.handlers.end()
		s.byCaller.end(k, ctx)
		return nil, errTooManyHandlers
	}
	return func() {
		s.handlers.end()
		t.handlers.end()
		s.byCaller.end(k, ctx)
	}, nil
}

var (
	errTooManyHandlers   = errors.New("reverse: too many handlers are running")
	errAbandonedHandlers = errors.New("reverse: too many handlers are running for a caller that has cancelled requests")
)

// answerBusy answers a request for which no handler may start. Unless the caller itself is
// the cause, it makes the gateway prefer other tunnels for a while.
func (s *Server) answerBusy(w http.ResponseWriter, r *http.Request, header *streamHeader, err error) {
	s.report(Event{Kind: Unavailable, Services: s.config.Services, Remote: header.remote, Err: err})
	if err == errTooManyHandlers {
		w.Header()[wire.HeaderKind] = []string{wire.KindBusy}
	}
	failTemporarily(w, r)
}
