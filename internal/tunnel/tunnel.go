// Package tunnel passes the caller of a tunnelled request from package reverse to the guard.
// It is internal, so that no program can put a Caller into a context.
package tunnel

import (
	"context"

	"github.com/mtlsguard/mtlsguard/trust"
)

// Caller is the caller of one request, as a gateway forwards it. It is never
// kept for a connection, on which a gateway mixes callers.
type Caller struct {
	// Port is the tunnel's name in policies, mappings and logs.
	Port string
	// ServerName is the name that the client sent to the gateway (SNI).
	ServerName string
	// Gateway is the gateway's own certificate. It gives no rights to the request.
	Gateway trust.Verified
	// Verify verifies the certificate that the gateway forwards. The error is a
	// *reason.Refusal: no-certificate where the gateway reports that the client sent none,
	// bad-header where it reports neither.
	Verify func(context.Context) (trust.Verified, error)
}

type contextKey struct{}

// NewContext returns a context that carries c.
func NewContext(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext returns the caller of the request whose context this is. Without one
// the request did not come through a tunnel.
func FromContext(ctx context.Context) (*Caller, bool) {
	c, ok := ctx.Value(contextKey{}).(*Caller)
	return c, ok && c != nil
}
