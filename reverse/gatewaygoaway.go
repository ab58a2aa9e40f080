package reverse

import (
	"errors"
	"slices"
)

var errEnding = errors.New("reverse: the server's end of the tunnel takes no more requests")

// ending reports whether a tunnel takes no more requests: its server has begun GOAWAY
// (RFC 9113 section 6.8), or the connection is broken. Such a tunnel leaves service, and
// the first to notice has it replaced. Nothing announces it: net/http only answers when
// it is asked.
func (t *gatewayEnd) ending() bool {
	if t.ended.Load() {
		return true
	}
	// No place may also mean that all are taken, by requests that were cancelled too.
	c := t.client
	if c.Available() > 0 || c.Err() == nil && (c.InFlight() >= t.limit || c.Available() > 0) {
		return false
	}
	if !t.ended.Swap(true) {
		go t.replace()
	}
	return true
}

// replaceEnding takes a tunnel out of service that takes no more requests. What is under
// way on it may end; its server is asked for another in its place.
func (g *Gateway) replaceEnding(t *gatewayEnd) {
	g.pool.drain(t)
	g.observe(t.event(Draining, errEnding))
	g.renew(t)
}

// streamError has the fields of an error of net/http, which errors.As fills in.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "reset stream" }

// refusedStream is the error code REFUSED_STREAM (RFC 9113 section 7).
const refusedStream = 7

// unsentTexts are errors of net/http's HTTP/2 client that have no other name: the
// connection was not used, or the server's GOAWAY says that it has not looked at the
// stream. Where a text changes, a request is answered 502 that could have been sent again.
var unsentTexts = []string{
	"http2: client conn not usable",
	"http2: client conn could not be established",
	"http2: Transport received Server's graceful shutdown GOAWAY",
}

// unsent reports whether no handler can have seen a request that failed (RFC 9113
// section 8.7). It may then go through another tunnel, if nothing of its body was read.
func unsent(err error) bool {
	var reset streamError
	if errors.As(err, &reset) {
		return reset.Code == refusedStream
	}
	return slices.Contains(unsentTexts, err.Error())
}

// move gives a request another tunnel, once.
func (x *exchange) move(g *Gateway, err error) bool {
	if x.moved || !unsent(err) || x.body != nil && !x.body.reopen() {
		return false
	}
	x.moved = true
	g.pool.release(x.tunnel, x.holder)
	x.tunnel = nil
	return true
}
