// Package tunnel is how package reverse tells the guard of the caller of a request
// that came through a tunnel. It is internal: nobody outside this module can put a
// Caller into a context.
package tunnel

import (
	"context"

	"github.com/mtlsguard/mtlsguard/trust"
)

// Caller is who a gateway says is calling. It belongs to one request and is never
// kept for a connection, on which a gateway mixes callers.
type Caller struct {
	// Port is the name by which policies, mappings and logs know the tunnel.
	Port string
	// ServerName is what the client asked the gateway for (SNI).
	ServerName string
	// Gateway is the gateway's own certificate. It gives no rights to the request.
	Gateway trust.Verified
	// Verify judges the certificate that the gateway states. The error is a
	// *reason.Refusal: no-certificate where the gateway says that there was none,
	// bad-header where it says neither.
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
