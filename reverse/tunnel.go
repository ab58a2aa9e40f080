package reverse

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// gatewayEnd is the gateway's end of one.
type gatewayEnd struct {
	link     *link
	client   *http.ClientConn
	speaker  *speaker
	services []string
	limit    int
	verified trust.Verified
	remote   string
	since    time.Time
	asked    uint64       // Gateway.rechecks before Authorize was asked last
	busyAt   atomic.Int64 // when its server last refused a request because too many handlers run, in Unix nanoseconds
	ended    atomic.Bool  // it takes no more requests
	replace  func()       // called once when that is noticed; it must not be called under the pool's lock

	// The pool's lock guards these.
	inFlight int
	draining bool
}

func (t *gatewayEnd) free() bool { return !t.draining && t.inFlight < t.limit && !t.ending() }

// busyTime is how long other tunnels are tried before one whose server is busy.
const busyTime = time.Second

// noteBusy remembers that the server runs too many handlers. Without this such a
// tunnel, where little is under way because everything is refused, would get all
// requests.
func (t *gatewayEnd) noteBusy(res *http.Response) {
	if kind, _ := single(res.Header, headerKind); kind == kindBusy {
		delete(res.Header, headerKind)
		t.busyAt.Store(time.Now().UnixNano())
	}
}

func (t *gatewayEnd) busy() bool {
	at := t.busyAt.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < busyTime
}

func (t *gatewayEnd) describe() Tunnel {
	return Tunnel{
		Services: t.services, Remote: t.remote, Certificate: t.verified, Since: t.since,
		InFlight: t.inFlight, Draining: t.draining || t.ending(), tunnel: t,
	}
}

// finish closes the connection without waiting: TLS may take its time to say goodbye
// to a peer that does not listen.
func (t *gatewayEnd) finish() { go t.link.Close() }

// run is the life of a tunnel, from the registration to its end.
func (g *Gateway) run(t *gatewayEnd) {
	err := g.open(t)
	if err == nil {
		g.observe(t.event(Registered, nil))
		err = g.converse(t)
	}
	g.pool.remove(t)
	if t.client != nil {
		t.client.Close()
	}
	t.link.Close()
	g.observe(t.event(Gone, err))
}

func (t *gatewayEnd) event(kind string, err error) Event {
	return Event{Kind: kind, Services: t.services, Remote: t.remote, Certificate: t.verified, Err: err}
}

// open makes the connection one of HTTP/2.
func (g *Gateway) open(t *gatewayEnd) error {
	transport := &http.Transport{
		Protocols:              plainHTTP2(),
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return t.link, nil },
		DisableCompression:     true, // the body is the client's, as it is
		MaxResponseHeaderBytes: headerBytes,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:               g.config.Ping,
			PingTimeout:                   g.config.PingTimeout,
			MaxReadFrameSize:              frameSize,
			MaxReceiveBufferPerStream:     window,
			MaxReceiveBufferPerConnection: connectionWindow(t.limit),
			MaxEncoderHeaderTableSize:     tableSize,
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), helloTime)
	defer cancel()
	client, err := transport.NewClientConn(ctx, "http", "tunnel:80")
	if err != nil {
		return fmt.Errorf("reverse: %w", err)
	}
	t.client, t.replace = client, func() { g.replaceEnding(t) }
	return nil
}

// converse is the control exchange. It lasts as long as the tunnel.
func (g *Gateway) converse(t *gatewayEnd) error {
	late := time.AfterFunc(helloTime, func() { t.link.Close() }) // before the other side has answered, nobody else watches over it
	defer late.Stop()
	body, words := io.Pipe()
	defer words.Close()
	t.speaker = &speaker{w: words}
	r, err := http.NewRequest(http.MethodPost, "http://tunnel"+registerPath, body)
	if err != nil {
		return err
	}
	r.Header[headerKind] = []string{kindControl}
	res, err := t.client.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("reverse: control: %w", err)
	}
	defer res.Body.Close()
	if kind, _ := single(res.Header, headerKind); res.StatusCode != http.StatusOK || kind != kindControl {
		return fmt.Errorf("reverse: control: answered %d", res.StatusCode)
	}
	late.Stop()
	if err := g.admit(t); err != nil {
		_ = t.speaker.say(wordBye)
		return err
	}
	if err := t.speaker.say(wordWelcome); err != nil {
		return err
	}
	if g.config.MaxAge > 0 {
		renew := time.AfterFunc(g.config.MaxAge, func() { g.renew(t) })
		defer renew.Stop()
	}
	drains := false
	return listen(res.Body, func(word string) bool {
		if word != wordDrain || drains { // each one is an event: a server says it once
			return false
		}
		drains = true
		g.pool.drain(t)
		g.observe(t.event(Draining, nil))
		_ = t.speaker.say(wordAck) // a failure is the end of the connection, which we read next
		g.pool.settle(t)
		return true
	})
}

// renewTime is how long a server has to replace a tunnel that is too old.
const renewTime = 30 * time.Second

// renew asks for another tunnel in place of an old one. The old one serves until its
// server drains it; a server that does not loses it.
func (g *Gateway) renew(t *gatewayEnd) {
	_ = t.speaker.say(wordRenew)
	select {
	case <-t.link.gone:
	case <-time.After(renewTime):
		g.pool.drain(t)
		_ = t.speaker.say(wordBye)
		g.pool.settle(t)
	}
}
