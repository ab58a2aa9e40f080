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
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// forwardedCaller is the caller of one request as the gateway forwards it.
type forwardedCaller struct {
	server *Server
	header string // the value of wire.HeaderCaller
	raw    forwarded.RawCertificate
}

// verify verifies the caller's certificate by the current trust. Without wait the error may
// be trustaccess.ErrUndecided. The gateway must set wire.HeaderCaller in any case, so that a lost
// certificate is an error and does not make the caller anonymous.
func (c *forwardedCaller) verify(ctx context.Context, wait bool) (trust.Verified, error) {
	receiver := c.server.receiver.Load()
	verified, err := receiver.Verify(trustaccess.Local, c.raw)
	if err == trustaccess.ErrUndecided {
		if !wait {
			return trust.Verified{}, err
		}
		verified, err = receiver.Verify(ctx, c.raw)
	}
	none := isNoCertificate(err)
	switch {
	case c.header == wire.CallerCertificate && !none:
		return verified, err
	case c.header == wire.CallerNone && none:
		return trust.Verified{}, err
	case err != nil && !none:
		return trust.Verified{}, err
	}
	return trust.Verified{}, reason.Refuse(reason.BadHeader, "the gateway forwards neither a certificate nor the information that there is none")
}

// callerWork is an answer in progress or a hijacked connection, whose caller is verified
// again and again: no further request would do it.
type callerWork struct {
	caller    *forwardedCaller
	anonymous bool          // the caller had no certificate at the beginning
	grace     time.Duration // in which the work may end by itself
	abort     func()        // must not block

	mu    sync.Mutex
	ended bool
}

// Check implements underway.Work.
func (w *callerWork) Check(ctx context.Context, wait bool) error {
	_, err := w.caller.verify(ctx, wait)
	if w.anonymous && isNoCertificate(err) {
		return nil
	}
	return err
}

// End implements underway.Work.
func (w *callerWork) End(error) {
	time.AfterFunc(w.grace, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.ended {
			w.abort()
		}
	})
}

// addWork adds a work to those that are checked every second and after Reconfigure. remove
// must be called when it has ended; after that it is not aborted.
func (s *Server) addWork(w *callerWork) (remove func()) {
	s.mu.Lock()
	s.works[w] = struct{}{}
	s.mu.Unlock()
	return func() {
		w.mu.Lock()
		w.ended = true
		w.mu.Unlock()
		s.mu.Lock()
		delete(s.works, w)
		s.mu.Unlock()
	}
}

// addHijacked adds a hijacked connection.
func (s *Server) addHijacked(ctx context.Context, c *forwardedCaller, conn net.Conn) (remove func()) {
	_, err := c.verify(ctx, true)
	return s.addWork(&callerWork{caller: c, anonymous: isNoCertificate(err), abort: func() { conn.Close() }})
}

// answerWork adds the answer to a request as soon as its caller's certificate has been
// verified; before that the answer does not depend on the certificate.
type answerWork struct {
	server *Server
	caller *forwardedCaller
	w      http.ResponseWriter

	mu     sync.Mutex
	remove func() // nil before
}

// verify is the tunnel.Caller.Verify of the request.
func (a *answerWork) verify(ctx context.Context) (trust.Verified, error) {
	verified, err := a.caller.verify(ctx, true)
	if err != nil {
		return trust.Verified{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.remove == nil {
		a.remove = a.server.addWork(&callerWork{caller: a.caller, grace: underway.Grace, abort: func() { _ = underway.Abort(a.w) }})
	}
	return verified, nil
}

// end must be called when the handler returns.
func (a *answerWork) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.remove != nil {
		a.remove()
	} else {
		a.remove = func() {} // a goroutine that the handler has left adds no answer any more
	}
}
