package reverse

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/keepalive"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// exchange is one request at the gateway and its answer.
type exchange struct {
	tunnel     *gatewayTunnel
	service    string
	caller     trust.Verified // zero: the client has no certificate
	holder     holder         // has the place in the tunnel
	serverName string
	upgrade    string // the protocol, or ""
	upgrader   *upgradeWriter
	w          http.ResponseWriter
	body       *wire.Body // nil without one, and until rewrite has been called
	retried    bool
	fullDuplex bool // of HTTP/1: net/http does not read the body before the answer

	wantsUpgrade bool // the request asks for any upgrade
}

type exchangeKey struct{}

// endsConnection reports whether an answer of HTTP/1 that begins now must end its
// connection: if the client has not sent the whole body, the rest must not be read as a
// request, and if it has asked for an upgrade, what it has sent may not be HTTP.
func (x *exchange) endsConnection() bool {
	return x.wantsUpgrade || x.fullDuplex && (x.body == nil || !x.body.Complete())
}

// clientGone reports whether the client of a request has gone, whose context is ctx. A nil exchange has no
// body. An interrupted body ends the context too, and its client waits for the answer.
func (x *exchange) clientGone(ctx context.Context) bool {
	return ctx.Err() != nil && (x == nil || x.body == nil || !x.body.Interrupted())
}

// lingerTimeout is how long the client may go on sending a body after an early answer.
const lingerTimeout = 2 * time.Second

// end gives the request's body back to net/http. After an early answer of HTTP/1 the client
// has lingerTimeout to send the rest, so that it reads the answer and not a reset; then the
// connection is closed, as endsConnection has announced.
func (x *exchange) end(answered bool) {
	if x.body != nil {
		x.body.Release()
	}
	if !answered || !x.fullDuplex || x.body != nil && x.body.Complete() {
		return
	}
	control := http.NewResponseController(x.w)
	_ = control.Flush()
	_ = control.SetReadDeadline(time.Now().Add(lingerTimeout))
	keepalive.Close(x.w)
}

// transport sends each request through the tunnel of its exchange.
type transport struct{ gateway *Gateway }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, &url.Error{Op: r.Method, URL: "tunnel", Err: errUnavailable}
	}
	if wire.RequestSize(r) > wire.MaxSize {
		return nil, wire.ErrRequestTooLong
	}
	res, err := x.send(r)
	if err != nil && x.mayRetry(t.gateway, err) {
		if x.tunnel, err = t.gateway.pool.acquire(r.Context(), x.service, x.holder); err != nil {
			return nil, &unavailableError{err}
		}
		res, err = x.send(r)
	}
	return res, err
}

// unavailableError is the error of a request that no handler has seen.
type unavailableError struct{ error }

// send sends a request through its tunnel.
func (x *exchange) send(r *http.Request) (*http.Response, error) {
	if x.upgrade != "" {
		return x.tunnel.sendUpgrade(r, x)
	}
	res, err := x.tunnel.client.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	x.tunnel.noteBusy(res)
	if len(res.Trailer) > 0 && r.Method != http.MethodHead {
		delete(res.Header, "Content-Length") // HTTP/1.1 has trailers only after chunks
		res.ContentLength = -1
	}
	return res, nil
}
