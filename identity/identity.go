// Package identity says who is calling. It is all that a handler imports:
//
//	id, ok := identity.FromContext(r.Context())
//
// An identity is put into a request's context by middleware.Guard and by nothing
// else in this module. Its absence means that no guard stands in front of the
// handler; it never means the anonymous user, who has a name ("Default").
package identity

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"slices"
)

// The reserved names. No certificate can be mapped to one of them.
const (
	Default       = "Default"       // the anonymous user, where strict is off
	Everybody     = "Everybody"     // the group of every user, Default included
	Authenticated = "Authenticated" // the group of every named user
	Anonymous     = "Anonymous"     // the group of Default alone
)

// Via is how we know who is calling.
type Via string

// The ways to become known.
const (
	TLS           Via = "tls"           // the connection's own client certificate
	Forwarded     Via = "forwarded"     // a certificate that an authenticated gateway states
	Tunnel        Via = "tunnel"        // a certificate stated through a reverse tunnel
	Authenticator Via = "authenticator" // no certificate; another authenticator named the user
	ViaAnonymous  Via = "anonymous"     // nobody said anything: the user Default
)

// Identity is a user, and how we know. A value belongs to one request; changing it
// changes nothing for anyone else.
type Identity struct {
	User        string            // the named user, or Default
	Groups      []string          // sorted; nested groups included
	Port        string            // the name of the port that the request came in by
	Via         Via               // how we know
	MappingID   string            // the id of the mapping that named the user; empty without one
	Fingerprint string            // SHA-256 of the leaf, lower-case hex; empty without one
	Leaf        *x509.Certificate // nil without a certificate; treat it as read-only
}

// Anonymous reports whether the identity is that of the user Default.
func (id Identity) Anonymous() bool { return id.User == Default }

// LogValue implements slog.LogValuer. It names the certificate by its
// fingerprint and holds nothing that a caller wrote.
func (id Identity) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("user", id.User),
		slog.String("port", id.Port),
		slog.String("via", string(id.Via)),
	}
	if id.MappingID != "" {
		attrs = append(attrs, slog.String("mapping", id.MappingID))
	}
	if id.Fingerprint != "" {
		attrs = append(attrs, slog.String("fingerprint", id.Fingerprint))
	}
	return slog.GroupValue(attrs...)
}

type contextKey struct{}

// NewContext returns a context that carries id. The guard calls it; so may the
// test of a handler. The identity must not change afterwards.
func NewContext(ctx context.Context, id *Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// FromContext returns the identity of the request whose context this is, and
// whether there is one. The value is the caller's own.
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(contextKey{}).(*Identity)
	if !ok || id == nil {
		return Identity{}, false // no guard in front: nobody, which is not Default
	}
	own := *id
	own.Groups = slices.Clone(id.Groups)
	return own, true
}

// Required wraps a handler that must never run without a guard in front of it.
// Where the identity is missing it answers 500 and does not call next: a handler
// that was mounted in the wrong place is a mistake in the program, not a caller
// without rights.
func Required(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := r.Context().Value(contextKey{}).(*Identity); !ok || id == nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}
