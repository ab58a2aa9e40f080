package reverse

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/underway"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// caller is what a gateway states of the caller of one request.
type caller struct {
	server    *Server
	header    string // certificate or none
	statement forwarded.RawCertificate
}

// verify verifies it by the trust that is in effect now. Without wait the error may be
// trustaccess.ErrUndecided.
func (c *caller) verify(ctx context.Context, wait bool) (trust.Verified, error) {
	return verify(ctx, c.server.receiver.Load(), c.header, c.statement, wait)
}

// watched is something under way for a caller: an answer, or a connection that a handler
// took. No request will ask again whether the caller is trusted now.
type watched struct {
	caller *caller
	none   bool          // the caller had no certificate to begin with
	grace  time.Duration // in which it may come to its own end
	abort  func()        // must not block

	mu   sync.Mutex
	over bool
}

// Check implements underway.Work.
func (w *watched) Check(ctx context.Context, wait bool) error {
	_, err := w.caller.verify(ctx, wait)
	if w.none && isNone(err) {
		return nil
	}
	return err
}

// End implements underway.Work.
func (w *watched) End() {
	time.AfterFunc(w.grace, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.over {
			w.abort()
		}
	})
}

// watch adds something to what is checked every second, and when the trust changes.
// After forget it is not ended any more.
func (s *Server) watch(w *watched) (forget func()) {
	s.mu.Lock()
	s.taken[w] = struct{}{}
	s.mu.Unlock()
	return func() {
		w.mu.Lock()
		w.over = true
		w.mu.Unlock()
		s.mu.Lock()
		delete(s.taken, w)
		s.mu.Unlock()
	}
}

// watchConn watches a connection that a handler took.
func (s *Server) watchConn(ctx context.Context, c *caller, conn net.Conn) (forget func()) {
	_, err := c.verify(ctx, true)
	return s.watch(&watched{caller: c, none: isNone(err), abort: func() { conn.Close() }})
}

// watchedAnswer watches the answer to a request from the moment in which its caller was
// verified: before that nothing is served on the strength of a certificate.
type watchedAnswer struct {
	server *Server
	caller *caller
	w      http.ResponseWriter

	mu     sync.Mutex
	forget func() // nil before
}

// verify is for tunnel.Caller.
func (a *watchedAnswer) verify(ctx context.Context) (trust.Verified, error) {
	verified, err := a.caller.verify(ctx, true)
	if err != nil {
		return trust.Verified{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.forget == nil {
		a.forget = a.server.watch(&watched{caller: a.caller, grace: underway.Grace, abort: func() { _ = underway.Abort(a.w) }})
	}
	return verified, nil
}

// done must be called when the handler returns.
func (a *watchedAnswer) done() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.forget != nil {
		a.forget()
	} else {
		a.forget = func() {} // a handler that left something running verifies nobody any more
	}
}

func isNone(err error) bool { return err != nil && wordOf(err) == reason.NoCertificate }

// Check implements underway.Work: the gateway's certificate.
func (t *serverEnd) Check(ctx context.Context, wait bool) error {
	receiver := t.server.receiver.Load()
	v, err := trustaccess.VerifyLocal(receiver.GatewayTrust(), t.presented)
	if err == trustaccess.ErrUndecided && wait {
		v, err = receiver.GatewayTrust().Verify(ctx, t.presented)
	}
	if err == nil && !receiver.IsGateway(v) {
		err = errNoGateway
	}
	if err != nil {
		if err != trustaccess.ErrUndecided {
			t.server.observe(Event{Kind: Refused, Services: t.server.config.Services, Remote: t.addr, Reason: wordOf(err), Err: err})
		}
		return err
	}
	trustaccess.Remember(receiver.GatewayTrust(), v)
	t.gateway.Store(&v)
	return nil
}

// End implements underway.Work.
func (t *serverEnd) End() { go t.Close() }

var errNoGateway = reason.Refuse(reason.UntrustedGateway, "the certificate is none of the gateways'")
