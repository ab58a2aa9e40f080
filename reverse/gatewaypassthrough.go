package reverse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/connlimit"
	"github.com/mtlsguard/mtlsguard/internal/panics"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// ServePassthrough accepts the TLS connections of clients and carries each, end to end, to
// a server. service returns the service for a server name (SNI), or "" for a name whose
// connections are closed. The client's handshake ends in the server: the gateway sees
// neither certificate nor requests, and forwards no identity. The listener's connections
// must be plain ones. GatewayConfig.Passthrough limits them, over all calls of
// ServePassthrough.
//
// ServePassthrough returns nil when the listener is closed. Open connections stay open
// until either side ends them, or Shutdown.
func (g *Gateway) ServePassthrough(l net.Listener, service func(serverName string) string) error {
	if service == nil {
		return errors.New("reverse: ServePassthrough: service is nil")
	}
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second) // perhaps too many open files: this may pass
			time.Sleep(pause)
			continue
		}
		pause = 0
		addr := connlimit.AddrOf(c.RemoteAddr())
		if err := g.admitPassthrough(addr); err != nil {
			g.report(Event{Kind: Refused, Remote: c.RemoteAddr().String(), Reason: reason.Limit, Err: err})
			c.Close()
			continue
		}
		go func() {
			defer g.passthrough.Give()
			defer g.passthrough.GiveAddr(addr)
			g.carryConn(c, service)
		}()
	}
}

// admitPassthrough counts a connection of an address. If too many connections are open, it
// waits until one ends: twice as long as a client may take for its first message, so that
// the places of silent clients become free in time. Further connections wait in the
// kernel's queue.
func (g *Gateway) admitPassthrough(addr netip.Prefix) error {
	if !g.passthrough.TakeAddr(addr) {
		return reason.Refuse(reason.Limit, g.passthrough.Describe(addr, "the limit of one address"))
	}
	wait := 2 * g.config.Passthrough.Handshake
	deadline := time.Now().Add(wait)
	timer := time.AfterFunc(wait, g.passthrough.Wake)
	defer timer.Stop()
	if !g.passthrough.Take(func() bool { return !time.Now().Before(deadline) }) {
		g.passthrough.GiveAddr(addr)
		return reason.Refuse(reason.Limit, fmt.Sprintf("too many connections: %d are open, and that is the limit", g.config.Passthrough.Connections))
	}
	return nil
}

// carryConn carries one connection to a server.
func (g *Gateway) carryConn(c net.Conn, service func(string) string) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(g.config.Passthrough.Handshake))
	serverName, hello, err := readServerName(c)
	if err != nil {
		return
	}
	c.SetDeadline(time.Time{})
	name, err := callService(service, serverName)
	if err != nil || !wire.ValidName(name) {
		return
	}
	h := holderOf(trust.Verified{}, c.RemoteAddr().String())
	t, err := g.pool.acquire(context.Background(), name, h)
	if err != nil {
		g.report(Event{Kind: Unavailable, Services: []string{name}, Remote: c.RemoteAddr().String(), Reason: knownReason(err), Err: err})
		return
	}
	defer g.pool.release(t, h)
	body := wire.NewConnBody(io.MultiReader(bytes.NewReader(hello), c), c)
	defer body.Release()
	if err := t.carry(idleConn{c, g.config.Passthrough.Idle}, body, serverName, name); err != nil {
		if !body.ClientFailed() {
			g.report(Event{Kind: Failed, Services: []string{name}, Remote: c.RemoteAddr().String(), Err: err})
		}
		wire.Reset(c)
	}
}

// callService calls the program's function with a name that a client has chosen.
func callService(service func(string) string, serverName string) (name string, err error) {
	defer panics.AsError(&err, "reverse: the service function of ServePassthrough")
	return service(serverName), nil
}

// carry copies bytes in both directions until the server has closed the connection.
func (t *gatewayTunnel) carry(c net.Conn, body *wire.Body, serverName, service string) error {
	r, err := http.NewRequest(http.MethodPost, "http://tunnel/", body)
	if err != nil {
		return err
	}
	r.Header[wire.HeaderKind] = []string{wire.KindStream}
	r.Header[wire.HeaderRemote], r.Header[wire.HeaderService] = []string{c.RemoteAddr().String()}, []string{service}
	if serverName != "" {
		r.Header[wire.HeaderServerName] = []string{serverName}
	}
	res, err := t.client.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	t.noteBusy(res)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("reverse: passthrough: the server answered %d", res.StatusCode)
	}
	b := buffers.Get()
	defer buffers.Put(b)
	_, err = io.CopyBuffer(struct{ io.Writer }{c}, res.Body, b)
	return err
}
