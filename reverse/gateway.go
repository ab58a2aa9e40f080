package reverse

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/internal/connlimit"
	"github.com/mtlsguard/mtlsguard/internal/panics"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Gateway forwards the requests of clients to servers that have dialled it. It is the
// http.Handler of the external ports; Registrations returns the handler of the
// registration port. It is safe for concurrent use.
type Gateway struct {
	config      GatewayConfig
	pool        pool
	passthrough *connlimit.Counter // connections of ServePassthrough
	proxy       *httputil.ReverseProxy
	pseudonym   string // in Via

	tunnels  sync.WaitGroup
	startMu  sync.Mutex    // orders the start of a tunnel and Shutdown
	stopped  bool          // no tunnel starts any more
	rechecks atomic.Uint64 // calls of Recheck that have begun
}

// NewGateway returns a Gateway. The error joins a configerror.Error for each error of the
// configuration.
func NewGateway(c GatewayConfig) (*Gateway, error) {
	c.setDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	g := &Gateway{
		config: c, pseudonym: newPseudonym(), pool: newPool(c),
		passthrough: connlimit.New(c.Passthrough.Connections, c.Passthrough.PerIP),
	}
	g.proxy = &httputil.ReverseProxy{
		Rewrite:       g.rewrite,
		Transport:     transport{g},
		ErrorHandler:  g.answerError,
		FlushInterval: -1, // forward at once what the handler has flushed
		BufferPool:    &buffers,
		ErrorLog:      log.New(io.Discard, "", 0), // OnEvent reports errors
	}
	return g, nil
}

// Tunnels returns the current tunnels, the oldest first.
func (g *Gateway) Tunnels() []Tunnel { return g.pool.describe() }

// Recheck calls Authorize again for every tunnel, and closes the tunnels whose server may
// not serve all of their services any more. Call it after the results of Authorize have
// changed. Authorize is also called again for registrations in progress before their
// tunnels carry requests.
func (g *Gateway) Recheck(ctx context.Context) {
	g.rechecks.Add(1) // before the list is made: see addToPool
	for _, t := range g.pool.list() {
		if err := g.authorize(ctx, t.server, t.services); err != nil {
			g.report(t.refusal(err))
			t.close()
		}
	}
}

// addToPool lets a tunnel carry requests. Authorize was called when the server
// registered, and the server decides how much time passes until now. If Recheck has been
// called since then, it has not seen this tunnel, so Authorize is called again: otherwise
// a server could keep an outdated result by waiting. Recheck sees every tunnel that is
// added before it makes its list.
func (g *Gateway) addToPool(t *gatewayTunnel) error {
	for {
		rechecks := g.rechecks.Load()
		if rechecks != t.authorizedAt {
			ctx, cancel := context.WithTimeout(context.Background(), wire.HandshakeTimeout)
			err := g.authorize(ctx, t.server, t.services)
			cancel()
			if err != nil {
				g.report(t.refusal(err))
				return err
			}
			t.authorizedAt = rechecks
		}
		switch added, err := g.pool.add(t, func() bool { return g.rechecks.Load() == rechecks }); {
		case err != nil:
			return err
		case added:
			return nil
		}
	}
}

// authorize returns an error unless the certificate may serve all of these services.
func (g *Gateway) authorize(ctx context.Context, server trust.Verified, services []string) (err error) {
	defer panics.AsError(&err, "reverse: Authorize") // fail closed
	allowed, err := g.config.Authorize(ctx, server.Chains()[0])
	if err != nil {
		return err
	}
	for _, s := range services {
		if !slices.Contains(allowed, s) {
			return reason.Refuse(reason.Denied, fmt.Sprintf("the certificate may not serve %s", s))
		}
	}
	return nil
}

// Shutdown announces the end to every server, waits for the requests in flight, and closes
// the tunnels, at the latest when ctx ends. Waiting and new requests are answered 503. It
// returns the error of ctx, or nil if all requests were answered.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.startMu.Lock()
	g.stopped = true
	g.startMu.Unlock()
	all := g.pool.close()
	for _, t := range all {
		g.pool.drain(t)
		g.report(t.event(Draining, nil))
		go func() {
			_ = t.control.Send(wire.Bye)
			g.pool.closeIfIdle(t)
		}()
	}
	ended := make(chan struct{})
	go func() {
		g.tunnels.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		for _, t := range all {
			t.close()
		}
		return ctx.Err()
	}
}

func (g *Gateway) report(e Event) {
	if g.config.OnEvent != nil {
		g.config.OnEvent(e)
	}
}

// allowsUpgrade reports whether clients may upgrade to a protocol.
func (g *Gateway) allowsUpgrade(token string) bool {
	return slices.ContainsFunc(g.config.Upgrades, func(allowed string) bool { return strings.EqualFold(allowed, token) })
}

// buffers has one buffer for each answer that is being copied.
var buffers bufferPool

type bufferPool struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

// Put implements httputil.BufferPool.
func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }
