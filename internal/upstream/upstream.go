package upstream

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/callershare"
	"github.com/mtlsguard/mtlsguard/internal/keepalive"
	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/internal/token"
)

// Config configures an Upstream. Package config has checked it.
type Config struct {
	Port     string            // the name of the port, for reports
	URL      string            // as the configuration has it, for reports
	Scheme   string            // http or https
	Host     string            // HOST:PORT, or any name for a socket
	Via      http.RoundTripper // see Plain and TLS
	Headers  Headers
	Tokens   *token.Signer // for Headers.Signed
	Timeout  time.Duration // for an answer to a health check; Via has it for requests
	Idle     time.Duration // after which a request ends if no byte has moved, in either direction
	Retries  int
	Requests int // at one time, further ones are 503
	// CallerShare is the percentage of Requests that one caller may have while no other caller
	// has any; 0 means 50.
	CallerShare int
	Upgrades    []string // protocols, in lower case
	Health      string   // a path; "" checks nothing
	// OnFailure is called with each request that the service does not answer. It must not block.
	OnFailure func(Failure)
	// OnHealth is called when the result of the health check changes; nil is healthy. It must not
	// block.
	OnHealth func(port, url string, err error)
}

// Headers are the names of the headers that carry the caller, in canonical form. An empty one
// is not sent.
type Headers struct{ User, Groups, Certificate, Signed string }

// Upstream forwards requests to one service. It is safe for concurrent use.
type Upstream struct {
	config Config
	proxy  *httputil.ReverseProxy
	places *places // of the requests under way
	health health
	http2  atomic.Bool // the last answer came over HTTP/2
}

// New returns an Upstream. It connects to nothing.
func New(c Config) *Upstream {
	u := &Upstream{config: c, places: newPlaces(c.Requests, cmp.Or(c.CallerShare, callershare.Default))}
	u.proxy = &httputil.ReverseProxy{
		Rewrite: u.rewrite, Transport: retrying{u}, ModifyResponse: u.watchAnswer, ErrorHandler: u.answerError,
		BufferPool: buffers{},
		ErrorLog:   log.New(io.Discard, "", 0), // OnFailure reports what matters
	}
	return u
}

// ServeHTTP forwards a request that a guard has let through. It answers itself
//
//   - 500 if no guard has let the request through
//   - 400 if the request names no host
//   - 501 to upgrades that Upgrades does not list
//   - 503 with Retry-After if Requests are under way, or the caller has its share of them
//   - 502 if the service cannot be reached, breaks off or answers no HTTP
//   - 508 if the request has come through this port before
//   - 504 if the service is silent for too long
//   - 400 or 408 if the caller's body is malformed, or does not come
//
// If the service breaks off in the middle of an answer, the caller's connection or stream is
// aborted, so that an incomplete answer never looks complete.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := identity.FromContext(r.Context())
	if !ok {
		problem.Failure(http.StatusInternalServerError).Write(w, r) // fail closed: there is no guard in front
		return
	}
	x := &exchange{upstream: u, in: r, caller: token.Caller{User: id.User, Groups: id.Groups, Mapping: id.MappingID}}
	if r.Host == "" {
		problem.Failure(http.StatusBadRequest).Write(w, r) // net/http would send the service's own address, which the caller did not request
		return
	}
	upgrade := ""
	if r.ProtoAtLeast(1, 1) {
		upgrade = strings.ToLower(keepalive.Upgrade(r))
	}
	if upgrade != "" && !slices.Contains(u.config.Upgrades, upgrade) {
		problem.Failure(http.StatusNotImplemented).Write(w, r) // h2c, for one, would carry requests that no policy sees
		return
	}
	if u.looped(r) {
		u.fail(w, x, http.StatusLoopDetected, errLoop)
		return
	}
	var err error
	if x.identity, err = u.config.Headers.of(&id); err != nil {
		u.fail(w, x, http.StatusBadGateway, err) // fail closed: the service would take the caller for another, or for less
		return
	}
	if r.URL.Path == "*" && r.Method != http.MethodOptions {
		u.fail(w, x, http.StatusBadGateway, errors.New("the target cannot be forwarded"))
		return
	}
	free, err := u.places.take(holderOf(&id, remoteOf(r)))
	if err != nil {
		w.Header().Set("Retry-After", "1")
		u.fail(w, x, http.StatusServiceUnavailable, err)
		return
	}
	defer free()
	ctx, end := x.begin(r.Context())
	defer end()
	if upgrade != "" {
		w = &upgradeWriter{w, ctx}
	}
	u.forward(newInterimWriter(w, r), r.WithContext(context.WithValue(ctx, exchangeKey{}, x)), x)
}

// forward sends the request and the answer, and reports an answer that ends too early.
func (u *Upstream) forward(w http.ResponseWriter, r *http.Request, x *exchange) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler && x.in.Context().Err() == nil {
			if err := x.answerError(r.Context()); err != nil {
				u.report(x, 0, err)
			}
			abortHTTP1(w, r)
		}
		panic(p)
	}()
	u.proxy.ServeHTTP(w, r)
}

// CloseIdle closes the connections that no request uses, when the Upstream is replaced.
func (u *Upstream) CloseIdle() {
	if t, ok := u.config.Via.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// URL returns the URL as the configuration has it.
func (u *Upstream) URL() string { return u.config.URL }
