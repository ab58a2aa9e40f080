package reverse

import (
	"errors"
	"slices"
)

var errGoingAway = errors.New("reverse: the server's end of the tunnel takes no more requests")

// isGoingAway reports whether a tunnel takes no more requests: its server has begun GOAWAY
// (RFC 9113 section 6.8), or the connection is broken. net/http does not announce this, so
// the first caller that notices has the tunnel replaced.
func (t *gatewayTunnel) isGoingAway() bool {
	if t.goingAway.Load() {
		return true
	}
	// No available stream may also mean that all are in use, also by cancelled requests.
	c := t.client
	if c.Available() > 0 || c.Err() == nil && (c.InFlight() >= t.limit || c.Available() > 0) {
		return false
	}
	if !t.goingAway.Swap(true) {
		go t.onGoAway()
	}
	return true
}

// replaceGoingAway drains a tunnel that takes no more requests. Requests in flight may
// finish; the server is asked for another tunnel.
func (g *Gateway) replaceGoingAway(t *gatewayTunnel) {
	g.pool.drain(t)
	g.report(t.event(Draining, errGoingAway))
	g.renew(t)
}

// streamError has the fields of an unexported error of net/http. errors.As fills them in.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error implements error.
func (streamError) Error() string { return "stream reset" }

// refusedStream is the error code REFUSED_STREAM (RFC 9113 section 7).
const refusedStream = 7

// unprocessedErrors are the texts of errors of net/http's HTTP/2 client that have no type:
// the connection was not used, or the server's GOAWAY excludes the stream. If net/http
// changes a text, a request is answered 502 that could have been sent again.
var unprocessedErrors = []string{
	"http2: client conn not usable",
	"http2: client conn could not be established",
	"http2: Transport received Server's graceful shutdown GOAWAY",
}

// isUnprocessed reports whether no handler can have seen a request that failed (RFC 9113
// section 8.7). The request may be sent again if its body has not been read.
func isUnprocessed(err error) bool {
	var reset streamError
	if errors.As(err, &reset) {
		return reset.Code == refusedStream
	}
	return slices.Contains(unprocessedErrors, err.Error())
}

// mayRetry reports whether a request that failed may be sent through another tunnel, and
// gives its place back. It allows this once.
func (x *exchange) mayRetry(g *Gateway, err error) bool {
	if x.retried || !isUnprocessed(err) || x.body != nil && !x.body.Reopen() {
		return false
	}
	x.retried = true
	g.pool.release(x.tunnel, x.holder)
	x.tunnel = nil
	return true
}
