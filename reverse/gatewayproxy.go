package reverse

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/keepalive"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// exchange is one request on its way through a tunnel.
type exchange struct {
	tunnel  *gatewayEnd
	service string
	caller  trust.Verified // zero: the client has no certificate
	holder  holder         // to whom its place is counted
	sni     string
	upgrade string
	client  *hijackable // with an upgrade
	w       http.ResponseWriter
	body    *body // where there is one, once it is on its way
	moved   bool  // from a tunnel that did not take it
	duplex  bool  // of HTTP/1: net/http reads nothing of the body before the answer

	switches bool // it asks for another protocol on its connection
}

// last reports whether an answer of HTTP/1 that begins now ends its connection: where
// the client has not sent the whole body, what it still sends must not be read as a
// request, and where it asked for another protocol, what it has sent need not be one.
func (x *exchange) last() bool {
	return x.switches || x.duplex && (x.body == nil || !x.body.complete())
}

// lingerTime is how long the rest of a body may take that an early answer made useless.
const lingerTime = 2 * time.Second

type exchangeKey struct{}

// ServeHTTP hands a request to a server, with the caller's certificate stated beside
// it. It refuses callers whose certificate is not believed here, CONNECT, switches to
// protocols that Upgrades does not name, and requests that were here before. Without a
// free tunnel it answers 503 with Retry-After, when a tunnel breaks before the answer
// 502. When one breaks later the client's connection or stream is cut off: an answer
// that is not complete never looks complete.
//
// Whether the caller may do what it asks for is decided by the guard inside. One in
// front of the gateway may decide, too.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{upgrade: upgradeOf(r), switches: keepalive.Switches(r)}
	if r.ProtoMajor == 1 && (r.ContentLength != 0 || x.switches) {
		w = &keepalive.Writer{ResponseWriter: w, Last: x.last}
	}
	switch {
	case r.Method == http.MethodConnect || x.upgrade != "" && !g.mayUpgrade(x.upgrade):
		fail(w, http.StatusNotImplemented)
		return
	case looped(r.Header, g.pseudonym):
		g.observe(Event{Kind: Refused, Remote: r.RemoteAddr, Err: errLoop})
		fail(w, http.StatusLoopDetected)
		return
	}
	if x.service = g.config.Service(r); !validName(x.service) {
		fail(w, http.StatusNotFound)
		return
	}
	var err error
	x.caller, err = g.config.Caller(r)
	switch word := wordOf(err); {
	case err == nil && (x.caller.IsZero() || x.caller.Usage() != trust.UsageClient):
		refuse(w, reason.BadCertificate) // fail closed: neither a client nor a refusal
		return
	case err != nil && word != reason.NoCertificate:
		g.observe(Event{Kind: Refused, Services: []string{x.service}, Remote: r.RemoteAddr, Reason: word, Err: err})
		refuse(w, word)
		return
	case err != nil:
		x.caller = trust.Verified{}
	}
	if c, ok := ports.FromContext(r.Context()); ok {
		x.sni = c.ServerName()
	}
	x.holder = holderOf(x.caller, r.RemoteAddr)
	if x.tunnel, err = g.pool.acquire(r.Context(), x.service, x.holder); err != nil {
		g.unavailable(w, r, &x, err)
		return
	}
	defer func() {
		if x.tunnel != nil {
			g.pool.release(x.tunnel, x.holder)
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler && r.Context().Err() == nil {
				g.observe(Event{Kind: Failed, Services: []string{x.service}, Remote: r.RemoteAddr, Err: errCut})
				cutOff(w, r)
			}
			panic(p)
		}
	}()
	if r.ProtoMajor == 1 && r.ContentLength != 0 { // HTTP/2 has it anyway
		x.duplex = http.NewResponseController(w).EnableFullDuplex() == nil
	}
	if x.upgrade != "" {
		x.client = &hijackable{ResponseWriter: w, idle: idleOf(r)}
		w = x.client
	}
	x.w = w
	answered := false
	defer func() { x.end(answered) }()
	g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, &x)))
	answered = true
}

// end gives the request's body back to net/http. Behind an early answer of HTTP/1 the
// client has some time to send what is left, so that it reads the answer and not a
// reset; then the connection is closed, as last has announced.
func (x *exchange) end(answered bool) {
	if x.body != nil {
		x.body.release()
	}
	if !answered || !x.duplex || x.body != nil && x.body.complete() {
		return
	}
	control := http.NewResponseController(x.w)
	_ = control.Flush()
	_ = control.SetReadDeadline(time.Now().Add(lingerTime))
	keepalive.Close(x.w)
}

// idleOf is how long a write to the caller may wait.
func idleOf(r *http.Request) time.Duration {
	if c, ok := ports.FromContext(r.Context()); ok {
		return c.Port().Config().Limits.Idle
	}
	return defaultIdle
}

var (
	errLoop = errors.New("reverse: the request was here before")
	errCut  = errors.New("reverse: the answer broke off")
)

func (g *Gateway) unavailable(w http.ResponseWriter, r *http.Request, x *exchange, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client does not wait any more; without an answer net/http would send 200
	}
	g.observe(Event{Kind: Unavailable, Services: []string{x.service}, Remote: r.RemoteAddr, Certificate: x.caller, Reason: refusalOf(err), Err: err})
	unavailable(w)
}

// upgradeOf is the protocol that a client wants to switch to.
func upgradeOf(r *http.Request) string {
	for _, line := range r.Header["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return strings.Join(r.Header["Upgrade"], ", ")
			}
		}
	}
	return ""
}

// rewrite states the caller. ReverseProxy has taken out what the client names in
// Connection before, so that nobody can make it drop what is stated (F5).
func (g *Gateway) rewrite(pr *httputil.ProxyRequest) {
	x := pr.In.Context().Value(exchangeKey{}).(*exchange)
	forwarded.SetClientCert(pr, x.caller) // deletes every identity header first, ours too
	kind, caller := kindRequest, callerCertificate
	if x.upgrade != "" {
		kind = kindUpgrade
	}
	if x.caller.IsZero() {
		caller = callerNone
	}
	h := pr.Out.Header
	pr.SetXForwarded()
	addVia(h, pr.In, g.pseudonym)
	h[headerKind], h[headerCaller] = []string{kind}, []string{caller}
	h[headerRemote], h[headerService] = []string{pr.In.RemoteAddr}, []string{x.service}
	if x.sni != "" {
		h[headerSNI] = []string{x.sni}
	}
	u := *pr.In.URL // path and query as they came: the guard inside decides about them
	u.Scheme, u.Host, u.User = "http", "tunnel", nil
	pr.Out.URL, pr.Out.Host = &u, pr.In.Host
	if pr.Out.Body == nil {
		pr.Out.Trailer = nil // with names of trailers and no body net/http never ends the stream
	}
	for name := range pr.Out.Trailer {
		if !mayTrail(name) {
			delete(pr.Out.Trailer, name)
		}
	}
	if pr.Out.Body != nil {
		x.body = bodyOf(pr.Out.Body, x.w)
		if len(pr.Out.Trailer) > 0 {
			x.body.withTrailers(pr.In, pr.Out.Trailer)
		}
		pr.Out.Body = x.body
	}
}

// through is the transport: each request has its own tunnel.
type through struct{ gateway *Gateway }

func (t through) RoundTrip(r *http.Request) (*http.Response, error) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, &url.Error{Op: r.Method, URL: "tunnel", Err: errUnavailable}
	}
	if requestSize(r) > mostHead {
		return nil, errRequestHead
	}
	res, err := x.send(r)
	if err != nil && x.move(t.gateway, err) {
		if x.tunnel, err = t.gateway.pool.acquire(r.Context(), x.service, x.holder); err != nil {
			return nil, &unavailableError{err}
		}
		res, err = x.send(r)
	}
	return res, err
}

// unavailableError is for a request that no handler has seen.
type unavailableError struct{ error }

// send sends a request through its tunnel.
func (x *exchange) send(r *http.Request) (*http.Response, error) {
	if x.upgrade != "" {
		return x.tunnel.switchTo(r, x)
	}
	res, err := x.tunnel.client.RoundTrip(r)
	if err == nil {
		x.tunnel.noteBusy(res)
	}
	if err == nil && len(res.Trailer) > 0 && r.Method != http.MethodHead {
		delete(res.Header, "Content-Length") // HTTP/1.1 has trailers behind chunks only
		res.ContentLength = -1
	}
	return res, err
}

// broken answers for a tunnel that broke before the answer.
func (g *Gateway) broken(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client does not wait any more
	}
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if none, ok := errors.AsType[*unavailableError](err); ok {
		g.unavailable(w, r, x, none.error)
		return
	}
	if ok {
		g.observe(Event{Kind: Failed, Services: []string{x.service}, Remote: r.RemoteAddr, Err: err})
	}
	if errors.Is(err, errRequestHead) || x != nil && x.body != nil && x.body.tooLong() {
		fail(w, http.StatusRequestHeaderFieldsTooLarge)
		return
	}
	fail(w, http.StatusBadGateway)
}
