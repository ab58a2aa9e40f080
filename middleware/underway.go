package middleware

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/underway"
	"github.com/mtlsguard/mtlsguard/reason"
)

// trackedConn is a connection that a guard has served: its certificate is a client's or a
// gateway's. The port checks it by its own verifier, which is not always the guard's.
type trackedConn struct {
	guard *Guard
	conn  connstate.Conn
}

// track makes the port check a connection by the guard's verifier, as long as it is open.
func (s *snapshot) track(c connstate.Conn) {
	if s.guard == nil {
		return // a configuration that was never in effect
	}
	s.guard.ports.Store(c.Port(), nil)
	c.Track(trackedConn{s.guard, c})
}

// Check implements underway.Work.
func (t trackedConn) Check(ctx context.Context, wait bool) error {
	s := t.guard.snapshot.Load()
	p := s.portNamed(t.conn.Port().Name())
	v := s.verifier(t.conn, p)
	if p.Forwarded != nil {
		v = p.Forwarded.GatewayTrust()
	}
	verified, err := t.conn.VerifiedLocally(v)
	if err == trustaccess.ErrUndecided && wait {
		verified, err = t.conn.VerifiedBy(ctx, v)
	}
	if err == nil && p.Forwarded != nil && !p.Forwarded.IsGateway(verified) {
		return errNotGateway
	}
	return err
}

// End implements underway.Work.
func (t trackedConn) End(why error) { t.conn.End(why) }

var errNotGateway = reason.Refuse(reason.UntrustedGateway, "the connection's certificate is not one of the gateways'")

// answer is the answer to a request that a gateway forwarded, or the connection that its
// handler has hijacked. On ports without gateways the certificate is the connection's own,
// and trackedConn checks it. The zero value is not tracked.
type answer struct {
	guard       *Guard
	conn        connstate.Conn
	certificate forwarded.RawCertificate
	identity    *identity.Identity
	w           http.ResponseWriter
	major       int // version of HTTP

	mu       sync.Mutex
	over     bool
	reported bool
}

// begin checks the user's certificate until end is called, or as long as the connection
// that the handler hijacks is open. A user without a certificate has none to check.
func (a *answer) begin(g *Guard, w http.ResponseWriter, c *call) {
	if c.Verified.IsZero() {
		return
	}
	a.guard, a.conn, a.certificate, a.w, a.major = g, c.conn, c.hop.certificate, w, c.request.ProtoMajor
	a.identity = c.Identity
	a.conn.Track(a)
}

func (a *answer) end() {
	if a.conn == nil {
		return
	}
	a.conn.Untrack(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}

// Check implements underway.Work.
func (a *answer) Check(ctx context.Context, wait bool) error {
	p := a.guard.snapshot.Load().portNamed(a.conn.Port().Name())
	if p.Forwarded == nil {
		return reason.Refuse(reason.UntrustedGateway, "the port has no gateways any more") // fail closed
	}
	_, err := p.Forwarded.Verify(trustaccess.Local, a.certificate)
	if err == trustaccess.ErrUndecided && wait {
		_, err = p.Forwarded.Verify(ctx, a.certificate)
	}
	return err
}

// End implements underway.Work. On HTTP/2 it ends the answer, if that is not complete soon:
// other callers share the connection. A connection of HTTP/1.1 has one caller at a time.
func (a *answer) End(why error) {
	a.mu.Lock()
	first := !a.reported // Check runs every second until the answer is over
	a.reported = true
	a.mu.Unlock()
	if first {
		a.conn.ReportClosed(a.identity.User, a.identity.Leaf, why)
	}
	if a.major != 2 {
		a.conn.End(nil)
		return
	}
	time.AfterFunc(underway.Grace, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.over && underway.Abort(a.w) != nil {
			a.conn.End(nil) // fail closed: something around the ResponseWriter hides the stream
		}
	})
}
