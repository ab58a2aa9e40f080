package middleware

import (
	"context"
	"net/http"
	"net/url"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/identitykey"
)

// strip returns the request as the handler sees it: with its identity, with the
// path that was authorized in both forms of the URL, and without identity headers
// among its trailers.
//
// r is copied into inner: the copy that WithContext makes stays on the stack.
//
//go:noinline // its frame, see handler.ServeHTTP
func (s *snapshot) strip(inner, r *http.Request, ctx context.Context) *http.Request {
	*inner = *r.WithContext(ctx)
	if r.URL.RawPath != "" {
		inner.URL = plainURL(r)
	}
	if inner.Trailer != nil {
		s.cleanTrailers(inner)
	}
	return inner
}

// passForm passes the form that the handler has parsed to the outer request. net/http
// removes the files of its own request only: those of a copy would stay on the disk.
func passForm(outer, inner *http.Request) {
	if inner.MultipartForm != nil { // else the outer request, which is the caller's, stays as it is
		outer.MultipartForm = inner.MultipartForm
	}
}

// withoutRawPath returns the request with the path that was authorized in both
// forms of the URL.
func withoutRawPath(r *http.Request) *http.Request {
	if r.URL.RawPath == "" {
		return r
	}
	inner := r.WithContext(r.Context())
	inner.URL = plainURL(r)
	return inner
}

// plainURL returns the URL without its escaped form: routers that look at it (chi does)
// would serve another path than the one decided on.
func plainURL(r *http.Request) *url.URL {
	u := *r.URL
	u.RawPath = ""
	return &u
}

// innerRequest is a request as the handler sees it, and its context: one allocation for both.
type innerRequest struct {
	request http.Request
	ctx     identityContext
}

// identityContext is a context with the identity of the caller.
type identityContext struct {
	context.Context
	identity *identity.Identity
}

// Value implements context.Context.
func (c *identityContext) Value(key any) any {
	if _, ok := key.(identitykey.Key); ok {
		return c.identity
	}
	return c.Context.Value(key)
}
