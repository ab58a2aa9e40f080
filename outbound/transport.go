package outbound

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// Transport is an http.RoundTripper with an identity per call. It is safe for
// concurrent use. It never tries a call again as someone else.
type Transport struct {
	keystore    Keystore
	fallback    *choice // what no choice means; nil: an error
	allow       func(context.Context, string) error
	crossOrigin CrossOrigin
	mustBeAsked bool
	renegotiate []origin
	observer    func(Handshake)
	clock       *clock

	base, baseHTTP1 *http.Transport
	maxPools        int
	idleTimeout     time.Duration
	drain           time.Duration

	roots    atomic.Pointer[roots]
	changes  changes
	retiring atomic.Int64
	evicted  atomic.Int64
}

// New builds a Transport. It dials nothing. Every mistake is reported at once.
func New(c Config) (*Transport, error) {
	c = c.withDefaults()
	base := c.Base.Clone()
	renegotiate, err := c.check(base)
	if err != nil {
		return nil, err
	}
	t := &Transport{
		keystore: c.Keystore, allow: c.Allow, crossOrigin: c.CrossOrigin, mustBeAsked: c.MustBeAsked,
		renegotiate: renegotiate, observer: c.Observe, clock: newClock(c.Now),
		maxPools: c.MaxPools, idleTimeout: c.IdleTimeout, drain: c.Drain,
	}
	if c.Default != "" {
		t.fallback = &choice{byAlias, c.Default}
	}
	authorities := c.Roots
	if base.TLSClientConfig != nil && base.TLSClientConfig.RootCAs != nil {
		authorities = base.TLSClientConfig.RootCAs
	}
	if authorities != nil {
		authorities = authorities.Clone() // what is added to theirs later is no part of ours
	}
	if base.Protocols == nil {
		base.Protocols = new(http.Protocols)
		base.Protocols.SetHTTP1(true)
		base.Protocols.SetHTTP2(base.TLSNextProto == nil) // an empty map is how HTTP/2 used to be turned off
	}
	c.pings(base)
	t.base, t.baseHTTP1 = base, base.Clone()
	t.baseHTTP1.Protocols = new(http.Protocols)
	t.baseHTTP1.Protocols.SetHTTP1(true)
	t.roots.Store(newRoots(authorities))
	return t, nil
}

// RoundTrip implements http.RoundTripper. Its errors are *Error.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	p, sent, err := t.choose(r)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	before, began := p.heard.now(), sinceEpoch()
	response, err := p.transport.RoundTrip(sent)
	if err != nil {
		p.noteFailure(originOf(r.URL).String(), began)
		err = p.heard.why(r, before, err)
		p.release()
		return nil, t.fail(p.alias, r, explain(err, p.alias, false))
	}
	response.Request = r
	p.until(response, began)
	return response, nil
}

// choose decides as whom a request goes, and takes a pool for it. The request that
// it returns is r, or what may be sent of it.
func (t *Transport) choose(r *http.Request) (*pool, *http.Request, error) {
	if r.URL == nil {
		return nil, nil, errors.New("outbound: the request has no URL")
	}
	c := chosen(r.Context())
	if c == nil || c.kind == byDefault {
		c = t.fallback
	}
	if c == nil {
		return nil, nil, t.fail("", r, ErrNoIdentity) // fail closed: nobody is a choice too
	}
	now := t.clock.now()
	var identity *Credential
	if c.kind == byAlias {
		var err error
		if identity, r, err = t.present(c.alias, r, now); err != nil {
			return nil, nil, t.fail(c.alias, r, err)
		}
	}
	m, proxy, err := t.manner(r)
	if err != nil {
		return nil, nil, t.fail(c.alias, r, err)
	}
	p, err := t.take(identity, m, proxy, now)
	if err != nil {
		return nil, nil, t.fail(c.alias, r, err)
	}
	return p, r, nil
}

// present returns the credential that goes with a request, or nil where a redirect
// has dropped it.
func (t *Transport) present(alias string, r *http.Request, now int64) (*Credential, *http.Request, error) {
	if t.allow != nil {
		if !ValidAlias(alias) {
			return nil, r, ErrUnknownAlias // no policy is asked about what cannot be one
		}
		if err := t.allow(withoutChoice(r.Context()), alias); err != nil {
			return nil, r, fmt.Errorf("%w: %w", ErrNotAllowed, err)
		}
	}
	identity, err := t.keystore.Credential(alias)
	switch {
	case err != nil:
		t.forget(alias)
		return nil, r, err
	case identity == nil:
		return nil, r, ErrUnknownAlias
	case identity.alias != alias || identity.print == "":
		return nil, r, fmt.Errorf("the keystore answered with another credential (%s)", identity)
	}
	if r.Response != nil {
		var listed []origin
		if t.crossOrigin == KeepListed {
			listed = identity.origins
		}
		if strayed(r, listed) {
			if t.crossOrigin == Refuse {
				return nil, r, ErrRedirected
			}
			return nil, withoutAuthorization(r), nil
		}
	}
	switch {
	case !equalFold(r.URL.Scheme, "https"):
		return nil, r, ErrPlain
	case len(identity.origins) > 0 && !identity.goesTo(originOf(r.URL)):
		return nil, r, ErrOrigin
	case !identity.inForce(now / int64(time.Second)):
		leaf := identity.pair.Leaf
		return nil, r, fmt.Errorf("%w: from %s to %s", ErrNotInForce, leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return identity, r, nil
}

// manner says how the server is spoken to, and through what.
func (t *Transport) manner(r *http.Request) (manner, *url.URL, error) {
	if !equalFold(r.URL.Scheme, "https") {
		return plain, nil, nil
	}
	proxy, err := t.tunnel(r)
	switch {
	case len(t.renegotiate) > 0 && originOf(r.URL).in(t.renegotiate):
		return renegotiating, proxy, err
	case len(r.Header["Upgrade"]) > 0:
		return http1, proxy, err
	}
	return usual, proxy, err
}

// forget retires the pools of an alias that is no more.
func (t *Transport) forget(alias string) {
	for _, p := range *t.roots.Load().pools.Load() {
		if p.alias == alias {
			t.drop(func(p *pool) bool { return p.alias == alias })
			return
		}
	}
}

func (t *Transport) fail(alias string, r *http.Request, err error) error {
	return &Error{Alias: alias, Origin: originOf(r.URL).String(), Err: err}
}

// SetRoots replaces the authorities that servers are believed by. Calls that begin
// afterwards use new connections and new sessions; nothing of the old roots is
// resumed. Calls under way end as Config.Drain says.
func (t *Transport) SetRoots(to *x509.CertPool) error {
	if to == nil || to.Equal(x509.NewCertPool()) {
		return &configerror.Error{What: "outbound: the new roots are empty", Hint: "the old ones stay in force"}
	}
	t.replaceRoots(to.Clone(), false)
	return nil
}

// CloseIdleConnections closes the connections that carry no call. http.Client calls
// it by this name.
func (t *Transport) CloseIdleConnections() {
	for _, p := range *t.roots.Load().pools.Load() {
		p.transport.CloseIdleConnections()
	}
}

// Close retires all connections and lets no new call in. Calls under way end as
// Config.Drain says.
func (t *Transport) Close() { t.replaceRoots(t.roots.Load().authorities, true) }

// Stats are counts of now.
type Stats struct {
	Pools    int   // that take calls; one for each identity, and more where an identity needs several manners
	Retiring int   // that finish the calls under way
	InFlight int   // calls of the first kind of pool, until their bodies are closed
	Evicted  int64 // pools given up since New because there were MaxPools; if it grows steadily, MaxPools is too small
}

// Stats counts.
func (t *Transport) Stats() Stats {
	s := Stats{Retiring: int(t.retiring.Load()), Evicted: t.evicted.Load()}
	for _, p := range *t.roots.Load().pools.Load() {
		s.Pools++
		s.InFlight += int(p.inFlight.Load())
	}
	return s
}
