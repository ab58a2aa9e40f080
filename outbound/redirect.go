package outbound

import "net/http"

// CrossOrigin is what happens to an identity when an http.Client follows a redirect
// to another origin. What was dropped on the way stays dropped, also where a later
// redirect leads back: the target was then chosen by someone else.
type CrossOrigin int

const (
	// Drop goes on as nobody, and without the Authorization of the first request.
	Drop CrossOrigin = iota
	// Refuse fails the call with ErrRedirected.
	Refuse
	// KeepListed keeps the identity at origins that the credential names, and drops it
	// at all others. A credential without origins is kept nowhere.
	KeepListed
)

const maxHops = 64

// first returns the request that a chain of redirects began with, or nil where that
// cannot be told.
func first(r *http.Request) *http.Request {
	for range maxHops {
		if r.Response == nil {
			return r
		}
		if r = r.Response.Request; r == nil {
			return nil
		}
	}
	return nil
}

// strayed reports whether a request follows redirects that left the first origin.
// Origins in the list do not count as another.
func strayed(r *http.Request, listed []origin) bool {
	if r.Response == nil {
		return false
	}
	start := first(r)
	if start == nil || start.URL == nil {
		return true // fail closed: who knows where this began
	}
	home := originOf(start.URL)
	for hop := r; hop != start; hop = hop.Response.Request {
		if hop.URL == nil {
			return true
		}
		if o := originOf(hop.URL); !o.equal(home) && !o.in(listed) {
			return true
		}
	}
	return false
}

// withoutAuthorization returns r without the Authorization that the first request
// had. http.Client itself carries it to other ports and to subdomains.
func withoutAuthorization(r *http.Request) *http.Request {
	const name = "Authorization"
	start := first(r)
	if _, has := r.Header[name]; !has || start != nil && start.Header.Get(name) != r.Header.Get(name) {
		return r // it has none, or was given one for this hop
	}
	bare := *r // a RoundTripper must not change the request
	bare.Header = r.Header.Clone()
	bare.Header.Del(name)
	return &bare
}
