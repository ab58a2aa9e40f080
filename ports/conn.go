package ports

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/underway"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Conn is one connection of a port. It is safe for concurrent use: the requests of an HTTP/2
// connection share it.
type Conn struct {
	port         *Port
	id           uint64 // see ConnInfo
	raw          *rawConn
	certificates []*x509.Certificate // set before established, then never changed
	serverName   string
	version      uint16        // of TLS
	resumed      bool          // the TLS session
	protocol     string        // negotiated; empty: none
	http2        bool          // protocol is h2
	openedAt     time.Time     // end of the handshake
	lifetime     time.Duration // from openedAt until it retires; 0: for ever
	simulated    bool          // there is no client: the key is not proved

	established atomic.Bool
	hasServer   atomic.Bool // by an http.Server that Port.Configure has set up
	used        atomic.Bool // a request has come to its handler
	isNew       atomic.Bool // no request, nor the preface of HTTP/2, has been read yet
	idle        atomic.Bool // no request under way, as net/http reports; false where it does not report
	hijacked    atomic.Bool // a handler has taken it: net/http reads no more requests
	retired     atomic.Bool // the next answer is the last
	ending      atomic.Bool // not trusted any more
	cancel      atomic.Pointer[context.CancelFunc]
	verified    atomic.Pointer[trust.Verified]
	memo        atomic.Pointer[any]
	caller      atomic.Pointer[connstate.Caller]

	requests requests
	streams  streams // of HTTP/2

	idleSince time.Duration // only sweepIdle uses it: since epoch, when it first saw the wait; 0: no wait
	idleAfter uint64        // and this: the number of requests before the wait

	mu    sync.Mutex
	works []underway.Work // beside the connection itself
}

// Port returns the port that accepted the connection.
func (c *Conn) Port() *Port { return c.port }

// ServerName returns the name that the client sent (SNI, RFC 6066 section 3), unchanged.
func (c *Conn) ServerName() string { return c.serverName }

// Proxy returns the address of the proxy that sent the caller's in a PROXY header, or nil. The
// caller's is RemoteAddr of the request.
func (c *Conn) Proxy() net.Addr {
	if c.raw == nil {
		return nil // no connection
	}
	return c.raw.proxy
}

// Verified verifies the client's certificate by the port's current trust and clock. The
// error is a *reason.Refusal; NoCertificate means that the client sent none.
func (c *Conn) Verified(ctx context.Context) (trust.Verified, error) {
	return c.VerifiedBy(ctx, c.port.state.Load().config.Trust)
}

// VerifiedBy is Verified by a given verifier, which must be for clients. The result is reused
// as long as that verifier and its clock allow.
func (c *Conn) VerifiedBy(ctx context.Context, v *trust.Verifier) (trust.Verified, error) {
	return c.verify(ctx, v, true)
}

func (c *Conn) verify(ctx context.Context, v *trust.Verifier, wait bool) (verified trust.Verified, err error) {
	defer func() {
		// The clock is the program's. Where it panics no certificate is trusted, and the
		// goroutines of the port go on.
		if p := recover(); p != nil {
			logPanic(c.port.name, p)
			verified, err = trust.Verified{}, reason.Refuse(reason.BadCertificate, "the verifier panicked")
		}
	}()
	if !c.sentCertificate() {
		return trust.Verified{}, errNone
	}
	if v == nil {
		return trust.Verified{}, reason.Refuse(reason.UnknownAuthority, "the port has no trust anchors") // fail closed
	}
	if v.Usage() != trust.UsageClient {
		return trust.Verified{}, reason.Refuse(reason.WrongUsage, "the verifier is not for clients") // fail closed
	}
	if known := c.verified.Load(); known != nil && trustaccess.IsCurrent(v, *known) {
		return *known, nil
	}
	if wait {
		verified, err = v.Verify(ctx, c.certificates)
	} else {
		verified, err = trustaccess.VerifyLocal(v, c.certificates)
	}
	if err != nil {
		return trust.Verified{}, err
	}
	c.remember(v, verified)
	kept := verified // else every call would allocate
	c.verified.Store(&kept)
	return verified, nil
}

// checkAddress returns why a configuration does not accept the address of the connection, or
// nil.
func (c *Conn) checkAddress(current *Config) error {
	if c.simulated {
		return nil // it has no address
	}
	if refusal := c.checkProxy(current); refusal != nil {
		return refusal
	}
	if refusal := current.Addresses.refuse(ipOf(c.raw.RemoteAddr())); refusal != nil {
		return refusal
	}
	return nil
}

// remember stores a result in the verifier: the handshake is finished, so the client holds
// the key.
func (c *Conn) remember(v *trust.Verifier, verified trust.Verified) {
	if !c.simulated {
		trustaccess.Remember(v, verified)
	}
}

var errNone = reason.Refuse(reason.NoCertificate, "the client sent no certificate")

func (c *Conn) sentCertificate() bool { return len(c.certificates) > 0 }

// retire makes the answer to the current request the connection's last.
func (c *Conn) retire() { c.retired.Store(true) }

// setHTTPState records what net/http does with the connection.
func (c *Conn) setHTTPState(s http.ConnState) {
	idle := s == http.StateIdle || s == http.StateNew
	change(&c.idle, idle)
	change(&c.hasServer, true)
	change(&c.isNew, s == http.StateNew)
	switch s {
	case http.StateHijacked:
		c.hijacked.Store(true)
		c.raw.setReadLimit(time.Time{}) // all deadlines are the handler's now
	case http.StateIdle:
		c.raw.setReadLimit(time.Time{}) // net/http sets one of its own, or sweepIdle does
	}
	if idle && c.ending.Load() {
		c.closeIdle()
	}
}

// change stores a value that seldom changes: a store costs ten times as much as a look.
func change(b *atomic.Bool, v bool) {
	if b.Load() != v {
		b.Store(v)
	}
}

// closeIdle closes a connection without a request under way. On HTTP/2 net/http reports idle
// before it has written the last frame, so it waits for goodbyeTime. A request that arrives
// meanwhile is checked as any other.
func (c *Conn) closeIdle() {
	if !c.http2 {
		c.raw.Close()
		return
	}
	time.AfterFunc(goodbyeTime, func() { c.raw.Close() })
}

const goodbyeTime = 250 * time.Millisecond // as net/http waits after its own GOAWAY

// FromContext returns the connection of the request whose context this is. Without one the
// request did not come through a port, and its caller is unknown.
func FromContext(ctx context.Context) (*Conn, bool) {
	c, _ := connstate.FromContext(ctx)
	own, ok := c.(*guardConn)
	return (*Conn)(own), ok
}

// connContext is for the field ConnContext in http.Server. It returns a context in which
// FromContext finds the connection.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if own := connOf(c); own != nil {
		if own.port.state.Load().config.CancelRequests {
			var cancel context.CancelFunc
			ctx, cancel = context.WithCancel(ctx)
			own.cancel.Store(&cancel)
		}
		return connstate.NewContext(ctx, (*guardConn)(own))
	}
	return ctx // fail closed: without a Conn in the context the guard refuses
}

// connState is for the field ConnState in http.Server.
func connState(c net.Conn, s http.ConnState) {
	if own := connOf(c); own != nil {
		own.setHTTPState(s)
	}
}

// connOf returns the Conn below a *tls.Conn, or nil where a wrapper hides it.
func connOf(c net.Conn) *Conn {
	t, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	raw, ok := t.NetConn().(*rawConn)
	if !ok || !raw.conn.established.Load() {
		return nil
	}
	return raw.conn
}
