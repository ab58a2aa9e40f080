package outbound

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/alias"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Transport is an http.RoundTripper that presents a client certificate for each call. It is
// safe for concurrent use. It never repeats a call with another identity.
type Transport struct {
	keystore    Keystore
	fallback    *choice // for a context without a choice; nil means an error
	allow       func(context.Context, string) error
	crossOrigin CrossOrigin
	mustBeAsked bool
	renegotiate []origin
	onHandshake func(Handshake)
	now         func() time.Time

	base, baseHTTP1 *http.Transport
	maxPools        int
	idleTimeout     time.Duration
	drain           time.Duration

	roots    atomic.Pointer[roots]
	changes  changes
	retiring atomic.Int64
	evicted  atomic.Int64
}

var errClosed = fmt.Errorf("the transport is closed: %w", net.ErrClosed)

// New returns a Transport. It dials nothing. All errors in the Config are reported at once.
func New(c Config) (*Transport, error) {
	c = c.withDefaults()
	base := c.Base.Clone()
	renegotiate, err := c.check(base)
	if err != nil {
		return nil, err
	}
	t := &Transport{
		keystore: c.Keystore, allow: c.Allow, crossOrigin: c.CrossOrigin, mustBeAsked: c.MustBeAsked,
		renegotiate: renegotiate, onHandshake: c.OnHandshake, now: c.Now,
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
		authorities = authorities.Clone() // later additions by the caller do not count
	}
	if base.Protocols == nil {
		base.Protocols = new(http.Protocols)
		base.Protocols.SetHTTP1(true)
		base.Protocols.SetHTTP2(base.TLSNextProto == nil) // an empty map is the old way to turn HTTP/2 off
	}
	c.setPings(base)
	t.base, t.baseHTTP1 = base, base.Clone()
	t.baseHTTP1.Protocols = new(http.Protocols)
	t.baseHTTP1.Protocols.SetHTTP1(true)
	t.roots.Store(newRoots(authorities))
	return t, nil
}

// RoundTrip implements http.RoundTripper. Its errors are of type *Error.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	p, sent, err := t.choose(r)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	before, began := p.refusals.now(), sinceEpoch()
	response, err := p.transport.RoundTrip(sent)
	if err != nil {
		p.markSuspect(originOf(r.URL).String(), began)
		err = p.refusals.find(r, before, err)
		p.release()
		return nil, t.fail(p.alias, r, explainAlert(err, p.identity.Load(), false, p.refusals.unfitFor(originOf(r.URL).String())))
	}
	response.Request = r
	p.releaseAtEnd(response, began)
	return response, nil
}

// choose chooses the identity of a request and acquires its pool. It returns the request to
// send: r, or a copy of r without the Authorization that a redirect must not carry along.
func (t *Transport) choose(r *http.Request) (*pool, *http.Request, error) {
	if r.URL == nil {
		return nil, nil, errors.New("outbound: the request has no URL")
	}
	c := choiceOf(r.Context())
	if c == nil || c.kind == byDefault {
		c = t.fallback
	}
	if c == nil {
		return nil, nil, t.fail("", r, ErrNoIdentity) // fail closed: a call without a certificate is a choice too
	}
	now := t.now()
	var identity *Credential
	if c.kind == byAlias {
		var err error
		if identity, r, err = t.credential(c.alias, r, now); err != nil {
			return nil, nil, t.fail(c.alias, r, err)
		}
	}
	via, proxy, err := t.protocol(r)
	if err != nil {
		return nil, nil, t.fail(c.alias, r, err)
	}
	p, err := t.acquirePool(identity, via, proxy, now.UnixNano())
	if err != nil {
		return nil, nil, t.fail(c.alias, r, err)
	}
	return p, r, nil
}

// credential returns the credential to present with a request, or nil if a redirect has
// dropped it.
func (t *Transport) credential(name string, r *http.Request, now time.Time) (*Credential, *http.Request, error) {
	if t.allow != nil {
		if !alias.Valid(name) {
			return nil, r, ErrUnknownAlias // Allow gets valid aliases only
		}
		if err := t.allow(withoutChoice(r.Context()), name); err != nil {
			return nil, r, fmt.Errorf("the caller may not use the alias: %w", err)
		}
	}
	identity, err := t.keystore.Credential(name)
	switch {
	case err != nil:
		t.retireAlias(name)
		return nil, r, err
	case identity == nil:
		return nil, r, ErrUnknownAlias
	case identity.alias != name || identity.fingerprint == "":
		return nil, r, fmt.Errorf("the keystore returned another credential (%s)", identity)
	}
	if r.Response != nil {
		var listed []origin
		if t.crossOrigin == KeepListed {
			listed = identity.origins
		}
		if leftOrigin(r, listed) {
			if t.crossOrigin == Refuse {
				return nil, r, fmt.Errorf("%w: a redirect leads to it", ErrOrigin)
			}
			return nil, withoutAuthorization(r), nil
		}
	}
	switch {
	case !equalFold(r.URL.Scheme, "https"):
		return nil, r, fmt.Errorf("%w: a certificate is presented over https only", ErrOrigin)
	case !identity.mayGoTo(originOf(r.URL)):
		return nil, r, ErrOrigin
	case !identity.validAt(now.Unix()):
		return nil, r, refuseDates(identity, now.Unix())
	}
	return identity, r, nil
}

// refuseDates returns the refusal of a credential that is not valid now.
func refuseDates(c *Credential, seconds int64) error {
	why := reason.Expired
	if seconds < c.notBefore {
		why = reason.NotYetValid
	}
	leaf := c.pair.Leaf
	return reason.Refuse(why, fmt.Sprintf("the certificate is valid from %s to %s", leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339)))
}

// protocol returns the protocol and the proxy for a request.
func (t *Transport) protocol(r *http.Request) (protocol, *url.URL, error) {
	if !equalFold(r.URL.Scheme, "https") {
		return plainHTTP, nil, nil
	}
	proxy, err := t.proxyFor(r)
	switch {
	case len(t.renegotiate) > 0 && originOf(r.URL).in(t.renegotiate):
		return renegotiating, proxy, err
	case len(r.Header["Upgrade"]) > 0:
		return http1, proxy, err
	}
	return anyHTTP, proxy, err
}

// retireAlias retires the pools of an alias that the keystore no longer returns.
func (t *Transport) retireAlias(name string) {
	for _, p := range *t.roots.Load().pools.Load() {
		if p.alias == name {
			t.retireCurrent(func(p *pool) bool { return p.alias == name })
			return
		}
	}
}

func (t *Transport) fail(name string, r *http.Request, err error) error {
	return &Error{Alias: name, Origin: originOf(r.URL).String(), Err: err}
}

// SetRoots replaces the authorities that issue the servers' certificates. Later calls use
// new connections and new sessions, and resume nothing from the old roots. Calls in
// progress go on for at most Config.Drain.
func (t *Transport) SetRoots(to *x509.CertPool) error {
	if to == nil || to.Equal(x509.NewCertPool()) {
		return &configerror.Error{What: "outbound: the new roots are empty", Hint: "the old roots remain in use"}
	}
	t.replaceRoots(to.Clone(), false)
	return nil
}

// CloseIdleConnections closes the connections without calls. http.Client calls it.
func (t *Transport) CloseIdleConnections() {
	for _, p := range *t.roots.Load().pools.Load() {
		p.transport.CloseIdleConnections()
	}
}

// Close closes the connections without calls. Later calls fail with net.ErrClosed. Calls in
// progress go on for at most Config.Drain.
func (t *Transport) Close() { t.replaceRoots(t.roots.Load().authorities, true) }
