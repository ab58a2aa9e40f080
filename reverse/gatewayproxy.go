package reverse

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/abort"
	"github.com/mtlsguard/mtlsguard/internal/keepalive"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

var (
	errLoop    = errors.New("reverse: the request has passed this gateway before")
	errAborted = errors.New("reverse: the answer ended early")
)

// ServeHTTP forwards a request to a server, together with the caller's client certificate.
// The gateway itself answers
//
//   - 403, or the status of another reason, if the client certificate is not trusted
//   - 404 if no service is chosen
//   - 501 to CONNECT, and to upgrades that Upgrades does not list
//   - 508 if the request has passed the gateway before
//   - 503 with Retry-After if no tunnel has a free place
//   - 502 if the tunnel breaks before the answer begins
//
// If a tunnel breaks later, the client's connection or stream is aborted, so that an
// incomplete answer never looks complete.
//
// ServeHTTP does not authorize: the guard of the server does. A guard in front of the
// gateway may authorize too.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{upgrade: keepalive.Upgrade(r), wantsUpgrade: keepalive.Switches(r)}
	if r.ProtoMajor == 1 && (r.ContentLength != 0 || x.wantsUpgrade) {
		w = &keepalive.Writer{ResponseWriter: w, Last: x.endsConnection}
	}
	switch {
	case r.Method == http.MethodConnect || x.upgrade != "" && !g.allowsUpgrade(x.upgrade):
		fail(w, r, http.StatusNotImplemented)
		return
	case isLoop(r.Header, g.pseudonym):
		g.report(Event{Kind: Refused, Remote: r.RemoteAddr, Err: errLoop})
		fail(w, r, http.StatusLoopDetected)
		return
	}
	if x.service = g.config.Service(r); !wire.ValidName(x.service) {
		fail(w, r, http.StatusNotFound)
		return
	}
	if !g.identify(w, r, &x) {
		return
	}
	var err error
	if x.tunnel, err = g.pool.acquire(r.Context(), x.service, x.holder); err != nil {
		g.answerUnavailable(w, r, &x, err)
		return
	}
	defer func() {
		if x.tunnel != nil {
			g.pool.release(x.tunnel, x.holder)
		}
	}()
	g.forward(w, r, &x)
}

// identify sets the caller of an exchange. If it refuses the request it answers it and
// returns false.
func (g *Gateway) identify(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	var err error
	x.caller, err = g.config.Caller(r)
	switch {
	case err == nil && (x.caller.IsZero() || x.caller.Usage() != trust.UsageClient):
		refuse(w, r, reason.BadCertificate) // fail closed: Caller must return a client certificate or a refusal
		return false
	case isNoCertificate(err):
		x.caller = trust.Verified{}
	case err != nil:
		g.report(Event{Kind: Refused, Services: []string{x.service}, Remote: r.RemoteAddr, Reason: reasonOf(err), Err: err})
		refuse(w, r, reasonOf(err))
		return false
	}
	if c, ok := ports.FromContext(r.Context()); ok {
		x.serverName = c.ServerName()
	}
	x.holder = holderOf(x.caller, r.RemoteAddr)
	return true
}

// forward sends a request through the tunnel of its exchange, and the answer to w.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, x *exchange) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler && !x.clientGone(r.Context()) {
				g.report(Event{Kind: Failed, Services: []string{x.service}, Remote: r.RemoteAddr, Err: errAborted})
				abortHTTP1(w, r)
			}
			panic(p)
		}
	}()
	if r.ProtoMajor == 1 && r.ContentLength != 0 { // HTTP/2 is always full duplex
		x.fullDuplex = http.NewResponseController(w).EnableFullDuplex() == nil
	}
	if x.upgrade != "" {
		x.upgrader = &upgradeWriter{ResponseWriter: w, idle: idleOf(r)}
		w = x.upgrader
	}
	x.w = w
	answered := false
	defer func() { x.end(answered) }()
	g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
	answered = true
}

// abortHTTP1 aborts the connection of a request of HTTP/1. For HTTP/2 net/http resets the
// stream.
func abortHTTP1(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 {
		return
	}
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		abort.Conn(c)
	}
}

// idleOf returns how long a write to the caller may wait.
func idleOf(r *http.Request) time.Duration {
	if c, ok := ports.FromContext(r.Context()); ok {
		return c.Port().Config().Limits.Idle
	}
	return defaultIdle
}

// rewrite adds the caller to the request. ReverseProxy has removed the headers that the
// client names in Connection before, so a client cannot have these removed.
func (g *Gateway) rewrite(pr *httputil.ProxyRequest) {
	x := pr.In.Context().Value(exchangeKey{}).(*exchange)
	forwarded.SetClientCert(pr, x.caller) // deletes every identity header first, those of package wire too
	kind, caller := wire.KindRequest, wire.CallerCertificate
	if x.upgrade != "" {
		kind = wire.KindUpgrade
	}
	if x.caller.IsZero() {
		caller = wire.CallerNone
	}
	h := pr.Out.Header
	pr.SetXForwarded()
	addVia(h, pr.In, g.pseudonym)
	h[wire.HeaderKind], h[wire.HeaderCaller] = []string{kind}, []string{caller}
	h[wire.HeaderRemote], h[wire.HeaderService] = []string{pr.In.RemoteAddr}, []string{x.service}
	if x.serverName != "" {
		h[wire.HeaderServerName] = []string{x.serverName}
	}
	u := *pr.In.URL // path and query unchanged: the guard of the server decides about them
	u.Scheme, u.Host, u.User = "http", "tunnel", nil
	pr.Out.URL, pr.Out.Host = &u, pr.In.Host
	if pr.Out.Body == nil {
		pr.Out.Trailer = nil // with trailers and no body net/http never ends the stream
	}
	for name := range pr.Out.Trailer {
		if !wire.ValidTrailer(name) {
			delete(pr.Out.Trailer, name)
		}
	}
	if pr.Out.Body != nil {
		x.body = wire.NewBody(pr.Out.Body, x.w)
		if len(pr.Out.Trailer) > 0 {
			x.body.ForwardTrailers(pr.In, pr.Out.Trailer)
		}
		pr.Out.Body = x.body
	}
}

func (g *Gateway) answerUnavailable(w http.ResponseWriter, r *http.Request, x *exchange, err error) {
	if x.clientGone(r.Context()) {
		panic(http.ErrAbortHandler) // without an answer net/http would send 200
	}
	g.report(Event{Kind: Unavailable, Services: []string{x.service}, Remote: r.RemoteAddr, Certificate: x.caller, Reason: knownReason(err), Err: err})
	failTemporarily(w, r)
}

// answerError answers a request whose tunnel failed before the answer began.
func (g *Gateway) answerError(w http.ResponseWriter, r *http.Request, err error) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if x.clientGone(r.Context()) {
		panic(http.ErrAbortHandler)
	}
	if unavailable, ok := errors.AsType[*unavailableError](err); ok {
		g.answerUnavailable(w, r, x, unavailable.error)
		return
	}
	if ok {
		g.report(Event{Kind: Failed, Services: []string{x.service}, Remote: r.RemoteAddr, Err: err})
	}
	if errors.Is(err, wire.ErrRequestTooLong) || x != nil && x.body != nil && x.body.TrailersTooLong() {
		fail(w, r, http.StatusRequestHeaderFieldsTooLarge)
		return
	}
	fail(w, r, http.StatusBadGateway)
}
