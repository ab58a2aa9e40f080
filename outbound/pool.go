package outbound

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
)

// key is what connections are kept by, beside the roots, which every set of pools
// has to itself: the content of the credential, or zero for nobody, and with it
// whatever else is not usual. Scheme, host and port come below it, in http.Transport.
type key [sha256.Size]byte

// with returns the key for a manner and a proxy.
func (k key) with(m manner, proxy *url.URL) key {
	if m == usual && proxy == nil {
		return k
	}
	through := ""
	if proxy != nil {
		through = proxy.String()
	}
	return sha256.Sum256(fmt.Appendf(nil, "%x %d %s", k, m, through))
}

// manner is how servers are spoken to.
type manner uint8

const (
	usual         manner = iota
	http1                // an upgrade, which HTTP/2 has not
	renegotiating        // HTTP/1.1, TLS 1.2, one renegotiation
	plain                // http, as nobody
)

// pool is the connections and sessions of one identity.
type pool struct {
	content     key // of the credential; zero: nobody
	alias       string
	base        *http.Transport // the pattern
	transport   *http.Transport // the pool's own copy
	tls         *tls.Config
	proxy       *url.URL
	mustBeAsked bool
	observer    func(Handshake)

	// identity is nil for nobody. A keystore may answer with a new signer for the same
	// certificate (a module that was opened again): the next handshake uses it.
	identity atomic.Pointer[Credential]
	sessions *sessions
	conns    conns
	heard    heard

	suspect   atomic.Pointer[suspect] // its peer may be gone
	keepCalls bool                    // retired because of a suspect: calls under way are not cut off

	inFlight atomic.Int64 // calls, until their bodies end
	used     atomic.Int64 // Unix nanoseconds of the last call
	seen     int64        // used, at the last sweep
	retired  atomic.Bool  // takes no new call
	ended    atomic.Bool
	onEnd    func()
}

// newPool makes a pool. It does not dial.
func (t *Transport) newPool(roots *roots, identity *Credential, m manner, proxy *url.URL) *pool {
	p := &pool{base: t.base, proxy: proxy, mustBeAsked: t.mustBeAsked && m != renegotiating,
		observer: t.observer, sessions: &sessions{}, onEnd: func() { t.retiring.Add(-1) }}
	p.identity.Store(identity)
	if identity != nil {
		p.content, p.alias = identity.content, identity.alias
	}
	base := t.base
	if m == http1 || m == renegotiating {
		base = t.baseHTTP1
	}
	p.transport = base.Clone()
	p.tls = tlsConfig(p.transport.TLSClientConfig, roots.authorities) // with the protocols that net/http offers
	if !p.transport.Protocols.HTTP2() {
		// A transport that once spoke HTTP/2 still offers it.
		p.tls.NextProtos = slices.DeleteFunc(slices.Clone(p.tls.NextProtos), func(s string) bool { return s == "h2" })
	}
	if m == renegotiating {
		p.tls.MaxVersion, p.tls.Renegotiation = tls.VersionTLS12, tls.RenegotiateOnceAsClient
	}
	p.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return noNil(p.dial(ctx, network, addr))
	}
	//lint:ignore SA1019 p.dial calls it
	p.transport.Dial = nil
	if m == plain {
		p.transport.TLSClientConfig = p.tls.Clone() // for proxies alone; holds no certificate
	} else {
		p.transport.Proxy = nil // dialTLS goes through it
		p.transport.DialTLSContext = p.dialTLS
	}
	return p
}

// dial connects without TLS.
func (p *pool) dial(ctx context.Context, network, addr string) (*conn, error) {
	ctx = withoutChoice(ctx)
	var raw net.Conn
	var err error
	switch {
	case p.base.DialContext != nil:
		raw, err = p.base.DialContext(ctx, network, addr)
	//lint:ignore SA1019 it is still obeyed
	case p.base.Dial != nil:
		//lint:ignore SA1019 as above
		raw, err = p.base.Dial(network, addr)
	default:
		raw, err = (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	if err != nil {
		return nil, err
	}
	return p.conns.add(raw)
}

func (p *pool) observe(h Handshake) {
	if p.observer != nil {
		p.observer(h)
	}
}

// acquire takes the pool for a call, unless it is retired.
func (p *pool) acquire(now int64) bool {
	p.inFlight.Add(1)
	if p.retired.Load() {
		p.release()
		return false
	}
	p.used.Store(now)
	return true
}

// release ends a call. The last one ends a retired pool.
func (p *pool) release() {
	if p.inFlight.Add(-1) == 0 && p.retired.Load() {
		p.end()
	}
}

// windUp closes what a retired pool has open. Calls under way go on until drain is
// over, or without end where it is 0.
func (p *pool) windUp(drain time.Duration) {
	p.transport.CloseIdleConnections()
	if p.inFlight.Load() == 0 {
		p.end()
	} else if drain > 0 {
		time.AfterFunc(drain, func() { p.conns.end(); p.conns.closeAll() })
	}
}

// farewell is how long connections without calls have to close by themselves.
const farewell = 200 * time.Millisecond

// end closes what is left. net/http closes idle connections properly, but it does not
// know yet of a stream that has just ended, or of a connection that is still being
// made.
func (p *pool) end() {
	if p.ended.Swap(true) {
		return
	}
	p.conns.end()
	p.transport.CloseIdleConnections()
	if p.conns.len() > 0 {
		time.AfterFunc(farewell, func() {
			p.transport.CloseIdleConnections()
			p.conns.closeAll()
		})
	}
	p.onEnd()
}
