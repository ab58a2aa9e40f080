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

// key identifies a pool among those of the current roots: the content of the credential
// (zero without a certificate) together with the protocol and the proxy. Scheme, host and
// port are keys of the http.Transport below.
type key [sha256.Size]byte

// with returns the key for a protocol and a proxy.
func (k key) with(via protocol, proxy *url.URL) key {
	if via == anyHTTP && proxy == nil {
		return k
	}
	through := ""
	if proxy != nil {
		through = proxy.String()
	}
	return sha256.Sum256(fmt.Appendf(nil, "%x %d %s", k, via, through))
}

// protocol is the protocol that a request needs.
type protocol uint8

const (
	anyHTTP       protocol = iota // HTTP/1.1 or HTTP/2 over TLS
	http1                         // HTTP/1.1 over TLS, for an upgrade, which HTTP/2 does not have
	renegotiating                 // HTTP/1.1 over TLS 1.2, one renegotiation
	plainHTTP                     // http, without a certificate
)

// pool holds the connections and sessions of one identity.
type pool struct {
	content     key // of the credential; zero without a certificate
	alias       string
	base        *http.Transport // the Transport's template
	transport   *http.Transport // the pool's own copy
	tls         *tls.Config
	proxy       *url.URL
	mustBeAsked bool
	onHandshake func(Handshake)

	// identity is nil without a certificate. A keystore may return a new signer for the
	// same certificate, such as a hardware module that was opened again: the next
	// handshake uses it.
	identity atomic.Pointer[Credential]
	sessions *sessions
	conns    conns
	refusals refusals

	suspect   atomic.Pointer[suspect]
	keepCalls bool // retired because of a suspect: calls in progress are not ended

	inFlight    atomic.Int64 // calls, until their bodies end
	used        atomic.Int64 // Unix nanoseconds of the last call
	usedAtSweep int64        // used at the last sweep
	retired     atomic.Bool  // takes no new call
	ended       atomic.Bool
	onEnd       func()
}

// newPool returns a pool. It does not dial.
func (t *Transport) newPool(roots *roots, identity *Credential, via protocol, proxy *url.URL) *pool {
	p := &pool{base: t.base, proxy: proxy, mustBeAsked: t.mustBeAsked && via != renegotiating,
		onHandshake: t.onHandshake, sessions: &sessions{}, onEnd: func() { t.retiring.Add(-1) }}
	p.identity.Store(identity)
	if identity != nil {
		p.content, p.alias = identity.content, identity.alias
	}
	base := t.base
	if via == http1 || via == renegotiating {
		base = t.baseHTTP1
	}
	p.transport = base.Clone()
	p.tls = tlsConfig(p.transport.TLSClientConfig, roots.authorities) // with the protocols that Clone set
	if !p.transport.Protocols.HTTP2() {
		// A base that has used HTTP/2 before still offers it.
		p.tls.NextProtos = slices.DeleteFunc(slices.Clone(p.tls.NextProtos), func(s string) bool { return s == "h2" })
	}
	if via == renegotiating {
		p.tls.MaxVersion, p.tls.Renegotiation = tls.VersionTLS12, tls.RenegotiateOnceAsClient
	}
	p.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return asNetConn(p.dial(ctx, network, addr))
	}
	//lint:ignore SA1019 p.dial calls it
	p.transport.Dial = nil
	if via == plainHTTP {
		p.transport.TLSClientConfig = p.tls.Clone() // for TLS to a proxy; holds no certificate
	} else {
		p.transport.Proxy = nil // dialTLS connects through it
		p.transport.DialTLSContext = p.dialTLS
	}
	return p
}

// dial connects without TLS, with Base's dialler.
func (p *pool) dial(ctx context.Context, network, addr string) (*conn, error) {
	ctx = withoutChoice(ctx)
	var raw net.Conn
	var err error
	switch {
	case p.base.DialContext != nil:
		raw, err = p.base.DialContext(ctx, network, addr)
	//lint:ignore SA1019 a deprecated field still counts
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

func (p *pool) report(h Handshake) {
	if p.onHandshake != nil {
		p.onHandshake(h)
	}
}

// acquire counts a call in. It returns false if the pool is retired.
func (p *pool) acquire(now int64) bool {
	p.inFlight.Add(1)
	if p.retired.Load() {
		p.release()
		return false
	}
	p.used.Store(now)
	return true
}

// release counts a call out. The last call ends a retired pool.
func (p *pool) release() {
	if p.inFlight.Add(-1) == 0 && p.retired.Load() {
		p.end()
	}
}

// shutDown closes the idle connections of a retired pool, and the others after drain. With
// drain 0, calls in progress go on without a limit.
func (p *pool) shutDown(drain time.Duration) {
	p.transport.CloseIdleConnections()
	if p.inFlight.Load() == 0 {
		p.end()
	} else if drain > 0 {
		time.AfterFunc(drain, func() { p.conns.refuseNew(); p.conns.closeAll() })
	}
}

// closeWait is the time that net/http has to close connections without calls.
const closeWait = 200 * time.Millisecond

// end closes the remaining connections of a pool without calls. net/http closes idle
// connections properly, but not a connection whose stream has just ended or one that is
// still being made; these are closed after closeWait.
func (p *pool) end() {
	if p.ended.Swap(true) {
		return
	}
	p.conns.refuseNew()
	p.transport.CloseIdleConnections()
	if p.conns.count() > 0 {
		time.AfterFunc(closeWait, func() {
			p.transport.CloseIdleConnections()
			p.conns.closeAll()
		})
	}
	p.onEnd()
}
