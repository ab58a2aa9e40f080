// Package identity defines the identity of a request's caller. A handler needs no other
// package of this module:
//
//	id, ok := identity.FromContext(r.Context())
//
// Only a middleware.Guard puts an identity into a context: into that of each request that it
// lets through. A context without an identity means that the handler runs without a guard. It
// never means the anonymous user, whose name is Default. Tests of handlers make their requests
// with mtlsguardtest.Request.
package identity

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"github.com/mtlsguard/mtlsguard/internal/identitykey"
)

// The reserved names. No certificate can be mapped to one of them.
const (
	Default       = "Default"       // the anonymous user, where strict is off
	Everybody     = "Everybody"     // the group of every user, Default included
	Authenticated = "Authenticated" // the group of every named user
	Anonymous     = "Anonymous"     // the group of Default alone
)

// Via is the way in which a caller was identified.
type Via string

// The ways to identify a caller.
const (
	TLS           Via = "tls"           // the connection's own client certificate
	Forwarded     Via = "forwarded"     // a certificate that an authenticated gateway forwards
	Tunnel        Via = "tunnel"        // a certificate that a gateway forwards through a reverse tunnel
	Authenticator Via = "authenticator" // no certificate; a middleware.Authenticator named the user
	ViaAnonymous  Via = "anonymous"     // no certificate and no credentials: the user Default
)

// Identity is the user of one request.
type Identity struct {
	User        string            // the named user, or Default
	Groups      []string          // sorted; nested groups included
	Port        string            // the name of the port that received the request
	Via         Via               // how the user was identified
	MappingID   string            // the ID of the mapping that named the user; empty without one
	Fingerprint string            // SHA-256 of the leaf, lower-case hex; empty without one
	Leaf        *x509.Certificate // nil without a certificate; treat it as read-only
	// Remote is the caller's IP address: that of the connection, or the one that a proxy or a
	// gateway forwards, where it is configured to. It does not identify the caller. It is
	// not valid where it is unknown: behind a gateway without client_ip, and through a tunnel.
	Remote netip.Addr
}

// In reports whether the caller is in a group. An Identity that no guard made is in none.
func (id Identity) In(group string) bool { return slices.Contains(id.Groups, group) }

// LogValue implements slog.LogValuer. It names the certificate by its fingerprint and
// contains no text from the caller.
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

// FromContext returns the identity in a request's context, and whether there is one. The
// value belongs to the caller.
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identitykey.Key{}).(*Identity)
	if !ok || id == nil {
		return Identity{}, false // without a guard there is no user, not even Default
	}
	own := *id
	own.Groups = slices.Clone(id.Groups)
	return own, true
}

// Required returns a handler that calls next for requests with an identity, and answers
// 500 otherwise. A request without an identity has not passed a guard: that is an error
// in the program, not a caller without rights.
func Required(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := r.Context().Value(identitykey.Key{}).(*Identity); !ok || id == nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}
