package admin

import (
	"net/http"
	"net/url"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/reason"
)

// contentPolicy lets a page load its own style and script, and nothing else. No script can write
// HTML: there is no policy for Trusted Types.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guarded returns next with the checks and the headers of every answer.
func (p *Page) guarded(next http.Handler) http.Handler {
	// A browser adds the client certificate to requests that other sites make, as it adds
	// cookies: such a request must not change anything.
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		foreign := &failure{Status: http.StatusForbidden, Detail: "another site sent this request", Hint: "open the page itself"}
		p.newCall(w, r).logEdit(foreign) // another site tries to act with the certificate of the user
		writeFailure(w, foreign)
	}))
	next = origins.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "accelerometer=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		id, ok := identity.FromContext(r.Context())
		switch {
		case !ok:
			// Without a guard any client could read this: refuse, and do not treat it as Default.
			fail(w, r, http.StatusInternalServerError, "the admin page has no guard in front of it", "serve Page.Handler through Server.Serve, Server.Handler or a Guard")
			return
		case id.Via == identity.ViaAnonymous || id.User == identity.Default:
			// Even if a rule allows it: such a rule is an error.
			problem.Refusal(reason.NoRule).Write(w, r)
			return
		case p.server.Load() == nil:
			fail(w, r, http.StatusServiceUnavailable, "the admin page has no server yet", "call Page.Watch")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxUpload) // of every request: a GET may have a body, too
		next.ServeHTTP(w, r)
	})
}

// mayPost reports whether the caller's request would be allowed as a POST to an escaped path. The guard
// decides, without counting a quota. For a caller behind a gateway the answer is no, because the guard
// has removed the headers that identify the caller.
func (c *call) mayPost(path string) bool {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return false
	}
	r := c.Clone(c.Context())
	u.Scheme, u.Host = c.URL.Scheme, c.URL.Host
	r.Method, r.URL, r.RequestURI = http.MethodPost, u, path
	return c.server.Guard().Check(r).Allowed
}
