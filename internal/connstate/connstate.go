// Package connstate connects package ports with the guard of package middleware: the guard
// finds a request's connection here, reads its certificate, and keeps the result of its work
// with it. Programs use ports.FromContext, which has none of this.
package connstate

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"

	"github.com/mtlsguard/mtlsguard/internal/underway"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Conn is a connection of a port. Package ports implements it. It is safe for concurrent use:
// the requests of an HTTP/2 connection share it.
type Conn interface {
	// Port returns the port that accepted the connection.
	Port() Port
	// RemoteIP returns the caller's IP address: that of the connection, or the one in the PROXY
	// header. It is not valid without one.
	RemoteIP() netip.Addr
	// ServerName returns the name that the client sent (SNI).
	ServerName() string
	// VerifiedBy verifies the client's certificate by a given verifier. The error is a
	// *reason.Refusal; NoCertificate means that the client sent none.
	VerifiedBy(context.Context, *trust.Verifier) (trust.Verified, error)
	// VerifiedLocally is VerifiedBy without waiting for a responder. The error is a
	// *reason.Refusal or trustaccess.ErrUndecided.
	VerifiedLocally(*trust.Verifier) (trust.Verified, error)
	// Certificates returns what the client sent, leaf first, verified or not. The slice must
	// not be changed.
	Certificates() []*x509.Certificate
	// Memo returns the value of the last SetMemo, or nil.
	Memo() any
	// SetMemo stores one value with the connection. If it has a method UserName() string, End
	// reports that user.
	SetMemo(any)
	// Caller returns the value of the last SetCaller, or nil.
	Caller() *Caller
	// SetCaller stores who made the last request, for ports.ConnInfo. The value must not change
	// afterwards.
	SetCaller(*Caller)
	// Track adds a work, once, to those that are checked with the connection: every second
	// while it is not idle, and at every change of the port's verifier.
	Track(underway.Work)
	// Untrack removes a work. On a hijacked connection it does nothing: the handler that
	// took the connection may return before the connection ends.
	Untrack(underway.Work)
	// End ends the connection: at once if it is hijacked, soon if it is idle, else when its
	// answer is complete or underway.Grace is over. It does not wait. why is reported, unless
	// it is nil.
	End(why error)
	// ReportClosed reports that something on the connection ends because a certificate that a
	// gateway forwarded is not trusted any more. End reports the connection's own.
	ReportClosed(user string, leaf *x509.Certificate, why error)
}

// Caller is who made a request on a connection. Package ports only shows it.
type Caller struct{ User, Mapping, Via string }

// Port is the port of a connection. It is comparable.
type Port interface {
	// Name returns the port's name.
	Name() string
	// Trust returns the current verifier for clients, or nil.
	Trust() *trust.Verifier
	// RequiresCertificate reports whether the port's mode is require.
	RequiresCertificate() bool
	// Requested returns a text with the CA names that the port sends in its certificate request.
	Requested() string
	// Recheck verifies again what is under way on the port: answers and hijacked
	// connections. A connection whose certificate is not trusted any more ends within a
	// second. An idle connection stays open: its next request is refused with the reason.
	// Recheck waits for no responder: where one has to be queried, its answer counts when
	// it arrives.
	Recheck()
}

// Client is what a client presents in a simulated handshake.
type Client struct {
	Certificates []*x509.Certificate // leaf first
	ServerName   string
}

// Simulate returns the context of a request on a connection of a *ports.Port that does not
// exist, as if a client had presented these certificates. It is for mtlsguard's
// Server.Explain. The checks of a handshake run by the same code; the error is the
// *reason.Refusal that would end the handshake. A port of mode None ignores the
// certificates.
//
// Nothing is counted, no limit applies, and no client has proved that it holds the key. So
// no request may be served with this context. Package ports sets Simulate when the program
// starts. It is safe for concurrent use.
var Simulate func(ctx context.Context, port any, client Client) (context.Context, error)

// Of returns the connection that a listener of a *ports.Port has accepted. Package ports sets
// Of when the program starts. It is safe for concurrent use.
var Of func(net.Conn) (Conn, bool)

type contextKey struct{}

// NewContext returns a context that carries c.
func NewContext(ctx context.Context, c Conn) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext returns the connection of the request whose context this is. Without one the
// request did not come through a port, and its caller is unknown.
func FromContext(ctx context.Context) (Conn, bool) {
	c, ok := ctx.Value(contextKey{}).(Conn)
	return c, ok
}
