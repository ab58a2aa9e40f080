package reverse

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Tunnel is a tunnel as the gateway sees it: one connection that a server has dialled.
type Tunnel struct {
	Services    []string
	Remote      string         // the server's address
	Certificate trust.Verified // the server's, as verified when it registered
	Since       time.Time
	InFlight    int  // requests
	Draining    bool // it takes no more requests

	tunnel *gatewayTunnel
}

// gatewayTunnel is the gateway's end of a tunnel.
type gatewayTunnel struct {
	link     *wire.Link
	client   *http.ClientConn
	control  *wire.ControlWriter
	services []string
	limit    int // requests in flight
	server   trust.Verified
	remote   string
	since    time.Time
	// authorizedAt is the value of Gateway.rechecks before the last call of Authorize.
	authorizedAt uint64
	busyAt       atomic.Int64 // when the server last refused a request because too many handlers run, in Unix nanoseconds
	goingAway    atomic.Bool  // the connection takes no more requests
	onGoAway     func()       // called once when that is noticed; not with the pool's lock held

	// The pool's lock guards these.
	inFlight int
	draining bool
}

func (t *gatewayTunnel) hasFreePlace() bool {
	return !t.draining && t.inFlight < t.limit && !t.isGoingAway()
}

// busyTime is how long other tunnels are preferred to one whose server was busy.
const busyTime = time.Second

// noteBusy remembers that too many handlers run at the server. Otherwise such a tunnel
// would get all requests: few are in flight there, because the server refuses them.
func (t *gatewayTunnel) noteBusy(res *http.Response) {
	if kind, _ := wire.SingleValue(res.Header, wire.HeaderKind); kind == wire.KindBusy {
		delete(res.Header, wire.HeaderKind)
		t.busyAt.Store(time.Now().UnixNano())
	}
}

func (t *gatewayTunnel) isBusy() bool {
	at := t.busyAt.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < busyTime
}

func (t *gatewayTunnel) describe() Tunnel {
	return Tunnel{
		Services: t.services, Remote: t.remote, Certificate: t.server, Since: t.since,
		InFlight: t.inFlight, Draining: t.draining || t.isGoingAway(), tunnel: t,
	}
}

func (t *gatewayTunnel) event(kind string, err error) Event {
	return Event{Kind: kind, Services: t.services, Remote: t.remote, Certificate: t.server, Err: err}
}

func (t *gatewayTunnel) refusal(err error) Event {
	e := t.event(Refused, err)
	e.Reason = reasonOf(err)
	return e
}

// close closes the connection and does not wait: TLS may take time to send close_notify to
// a peer that does not read.
func (t *gatewayTunnel) close() { go t.link.Close() }

// run serves a tunnel from the registration to its end.
func (g *Gateway) run(t *gatewayTunnel) {
	err := g.startHTTP2(t)
	if err == nil {
		g.report(t.event(Registered, nil))
		err = g.serveControl(t)
	}
	g.pool.remove(t)
	if t.client != nil {
		t.client.Close()
	}
	t.link.Close()
	g.report(t.event(Gone, err))
}

func (g *Gateway) startHTTP2(t *gatewayTunnel) error {
	transport := &http.Transport{
		Protocols:              wire.HTTP2(),
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return t.link, nil },
		DisableCompression:     true, // the body is the client's
		MaxResponseHeaderBytes: wire.MaxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:               g.config.Ping,
			PingTimeout:                   g.config.PingTimeout,
			MaxReadFrameSize:              wire.FrameSize,
			MaxReceiveBufferPerStream:     wire.Window,
			MaxReceiveBufferPerConnection: wire.ConnectionWindow(t.limit),
			MaxEncoderHeaderTableSize:     wire.HeaderTableSize,
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), wire.HandshakeTimeout)
	defer cancel()
	client, err := transport.NewClientConn(ctx, "http", "tunnel:80")
	if err != nil {
		return fmt.Errorf("reverse: %w", err)
	}
	t.client, t.onGoAway = client, func() { g.replaceGoingAway(t) }
	return nil
}

// serveControl exchanges control messages until the tunnel ends.
func (g *Gateway) serveControl(t *gatewayTunnel) error {
	timeout := time.AfterFunc(wire.HandshakeTimeout, func() { t.link.Close() }) // pings only begin with the answer
	defer timeout.Stop()
	body, messages := io.Pipe()
	defer messages.Close()
	t.control = wire.NewControlWriter(messages, nil)
	r, err := http.NewRequest(http.MethodPost, "http://tunnel"+wire.RegisterPath, body)
	if err != nil {
		return err
	}
	r.Header[wire.HeaderKind] = []string{wire.KindControl}
	res, err := t.client.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("reverse: control stream: %w", err)
	}
	defer res.Body.Close()
	if kind, _ := wire.SingleValue(res.Header, wire.HeaderKind); res.StatusCode != http.StatusOK || kind != wire.KindControl {
		return fmt.Errorf("reverse: control stream: the server answered %d", res.StatusCode)
	}
	timeout.Stop()
	if err := g.addToPool(t); err != nil {
		_ = t.control.Send(wire.Bye)
		return err
	}
	if err := t.control.Send(wire.Welcome); err != nil {
		return err
	}
	if g.config.MaxAge > 0 {
		renewal := time.AfterFunc(g.config.MaxAge, func() { g.renew(t) })
		defer renewal.Stop()
	}
	drained := false
	return wire.ReadControl(res.Body, func(message string) bool {
		if message != wire.Drain || drained { // each one causes an event, so a server may send only one
			return false
		}
		drained = true
		g.pool.drain(t)
		g.report(t.event(Draining, nil))
		_ = t.control.Send(wire.Ack) // after an error the connection ends, and so does ReadControl
		g.pool.closeIfIdle(t)
		return true
	})
}

// renewTimeout is how long a server has to replace a tunnel.
const renewTimeout = 30 * time.Second

// renew asks the server for another tunnel in place of this one. The old one serves until
// its server drains it; after renewTimeout the gateway drains it.
func (g *Gateway) renew(t *gatewayTunnel) {
	_ = t.control.Send(wire.Renew)
	select {
	case <-t.link.Closed():
	case <-time.After(renewTimeout):
		g.pool.drain(t)
		_ = t.control.Send(wire.Bye)
		g.pool.closeIfIdle(t)
	}
}

// renewInterval is the mean time between two new tunnels after Renew.
const renewInterval = 10 * time.Millisecond

// Renew asks every server to replace each of its tunnels, for instance because the
// certificate of the registration port has been replaced. The old tunnels serve until then,
// and end with their last answer. Without Renew a server replaces a tunnel an hour before
// a certificate of either end expires. Renew does not wait.
func (g *Gateway) Renew() {
	all := g.pool.list()
	for _, t := range all {
		time.AfterFunc(rand.N(time.Duration(len(all))*renewInterval), func() { g.renew(t) })
	}
}
