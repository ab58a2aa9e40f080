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

// Conn is what a port knows of one of its connections. It is safe for concurrent
// use: the streams of an HTTP/2 connection share it.
type Conn struct {
	port       *Port
	raw        *rawConn
	presented  []*x509.Certificate // set before established, then never changed
	serverName string
	openedAt   time.Time // end of the handshake
	retireAt   time.Time // zero: never
	simulated  bool      // nobody has shown the key

	established atomic.Bool
	served      atomic.Bool // by an http.Server that Port.Configure has set up
	fresh       atomic.Bool // no request, nor the preface of HTTP/2, has been read yet
	idle        atomic.Bool // no request under way, as net/http tells it; false when nobody does
	hijacked    atomic.Bool // net/http has given it away: no request will be judged any more
	retired     atomic.Bool // the next answer is the last
	ending      atomic.Bool // not trusted any more
	cancel      atomic.Pointer[context.CancelFunc]
	verified    atomic.Pointer[trust.Verified]
	memo        atomic.Pointer[any]

	handlers atomic.Int32 // at work
	streams  streams      // of HTTP/2

	mu    sync.Mutex
	works []underway.Work // beside the connection itself
}

// Port is the port that the connection came in by.
func (c *Conn) Port() *Port { return c.port }

// ServerName is the name that the client asked for (SNI), as it sent it.
func (c *Conn) ServerName() string { return c.serverName }

// Verified returns the client's certificate as the port's trust judges it now. The
// error is a *reason.Refusal; NoCertificate means that the client sent none.
func (c *Conn) Verified(ctx context.Context) (trust.Verified, error) {
	return c.VerifiedBy(ctx, c.port.state.Load().config.Trust)
}

// VerifiedBy is Verified under a given trust. The judgement is kept as long as
// that trust and its clock allow.
func (c *Conn) VerifiedBy(ctx context.Context, v *trust.Verifier) (trust.Verified, error) {
	return c.verify(ctx, v, true)
}

func (c *Conn) verify(ctx context.Context, v *trust.Verifier, wait bool) (verified trust.Verified, err error) {
	defer func() {
		// The clock is the program's. Where it panics nobody is believed, and what
		// watches over the connections goes on.
		if p := recover(); p != nil {
			logPanic(c.port.name, p)
			verified, err = trust.Verified{}, reason.Refuse(reason.BadCertificate, "the trust panicked")
		}
	}()
	if !c.sentCertificate() {
		return trust.Verified{}, errNone
	}
	if v == nil {
		return trust.Verified{}, reason.Refuse(reason.UnknownAuthority, "the port has no trust") // fail closed
	}
	if v.Usage() != trust.UsageClient {
		return trust.Verified{}, reason.Refuse(reason.WrongUsage, "the trust is not for clients") // fail closed: who connected is one
	}
	if known := c.verified.Load(); known != nil && known.Generation() == v.Generation() && known.ValidAt(trustaccess.Now(v)) {
		return *known, nil
	}
	if wait {
		verified, err = v.Verify(ctx, c.presented)
	} else {
		verified, err = trustaccess.VerifyLocal(v, c.presented)
	}
	if err != nil {
		return trust.Verified{}, err
	}
	c.remember(v, verified)
	kept := verified // else every call would allocate
	c.verified.Store(&kept)
	return verified, nil
}

// remember lets a trust remember a judgement: the handshake is finished, so the client
// holds the key.
func (c *Conn) remember(v *trust.Verifier, verified trust.Verified) {
	if !c.simulated {
		trustaccess.Remember(v, verified)
	}
}

var errNone = reason.Refuse(reason.NoCertificate, "the client sent no certificate")

func (c *Conn) sentCertificate() bool { return len(c.presented) > 0 }

// retire makes the answer to the current request the connection's last.
func (c *Conn) retire() { c.retired.Store(true) }

// setHTTPState follows what net/http does with the connection.
func (c *Conn) setHTTPState(s http.ConnState) {
	idle := s == http.StateIdle || s == http.StateNew
	c.idle.Store(idle)
	c.served.Store(true)
	c.fresh.Store(s == http.StateNew)
	switch s {
	case http.StateHijacked:
		c.hijacked.Store(true)
		c.raw.limitRead(time.Time{}) // all deadlines are the handler's now
	case http.StateIdle:
		c.raw.limitRead(time.Time{}) // net/http sets one of its own
	}
	if idle && c.ending.Load() {
		// HTTP/2 says so before it has written the last frame.
		time.AfterFunc(lastWords, func() { c.raw.Close() })
	}
}

const lastWords = 50 * time.Millisecond

// FromContext returns the connection that a request came in by. Without one the
// request did not come through a port, and nothing is known of its caller.
func FromContext(ctx context.Context) (*Conn, bool) {
	c, _ := connstate.FromContext(ctx)
	own, ok := c.(*guardConn)
	return (*Conn)(own), ok
}

// ConnContext is for the field of that name in http.Server. It puts the port and
// the evidence of a connection into its context.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
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

// connOf finds our own below the *tls.Conn. Anything between hides it.
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

// sweep ends what waits too long for the client. Limits are those in effect now.
func (c *Conn) sweep(now time.Time, l Limits) {
	clock := now.Sub(epoch)
	c.raw.sweepWrite(clock)
	c.streams.sweep(clock)
	if c.hijacked.Load() || !c.served.Load() {
		return // its time is the handler's
	}
	if c.fresh.Load() && now.Sub(c.openedAt) > l.Headers+sweepEvery {
		c.raw.Close() // half a preface of HTTP/2: net/http waits ten seconds, whatever is configured
	}
	if c.retireAt.IsZero() || now.Before(c.retireAt) {
		return
	}
	c.retire() // an idle one too: closing it now could cross with a request
	if c.handlers.Load() == 0 && now.After(c.retireAt.Add(l.Idle+2*sweepEvery)) {
		// What net/http answers by itself (400, 431) is no last answer. Without this a
		// client that makes such requests for ever would keep its connection.
		c.raw.Close()
	}
}
