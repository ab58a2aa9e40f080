package outbound

import "net/http"

// CrossOrigin is the effect of a redirect to another origin on the identity of a call. An
// identity that was dropped stays dropped, even if a later redirect leads back: another
// server has then chosen the target.
type CrossOrigin int

const (
	// Drop follows the redirect without a certificate, and without the Authorization of the
	// first request.
	Drop CrossOrigin = iota
	// Refuse fails the call with ErrOrigin.
	Refuse
	// KeepListed keeps the identity at origins that the credential names and drops it at all
	// others. The identity of a credential without origins is dropped.
	KeepListed
)

const maxHops = 64 // redirects

// firstRequest returns the first request of a chain of redirects, or nil if it is unknown.
func firstRequest(r *http.Request) *http.Request {
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

// leftOrigin reports whether the redirects to a request have left the first origin.
// Origins in listed do not count.
func leftOrigin(r *http.Request, listed []origin) bool {
	if r.Response == nil {
		return false
	}
	start := firstRequest(r)
	if start == nil || start.URL == nil {
		return true // fail closed: the first origin is unknown
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

// withoutAuthorization returns r without the Authorization of the first request, which
// http.Client itself sends to other ports and to subdomains.
func withoutAuthorization(r *http.Request) *http.Request {
	const name = "Authorization"
	start := firstRequest(r)
	if _, has := r.Header[name]; !has || start != nil && start.Header.Get(name) != r.Header.Get(name) {
		return r // no header, or one for this request
	}
	bare := *r // a RoundTripper must not change the request
	bare.Header = r.Header.Clone()
	bare.Header.Del(name)
	return &bare
}
