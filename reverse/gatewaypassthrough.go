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
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// ServePassthrough takes TLS connections and hands them on as they are, to a server
// of the service that the name asked for (SNI) stands for. The client's handshake ends
// in that server: the gateway sees neither certificate nor request, and can state
// nothing. service answers with "" for names that nobody serves; their connections are
// closed. The listener yields plain connections. GatewayConfig.Passthrough bounds them,
// over all calls of ServePassthrough.
//
// It returns nil when the listener is closed; connections that are open stay so until
// one side ends them, or Shutdown.
func (g *Gateway) ServePassthrough(l net.Listener, service func(sni string) string) error {
	if service == nil {
		return errors.New("reverse: ServePassthrough needs a function that says whose a name is")
	}
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second) // no descriptors left, say: it may pass
			time.Sleep(pause)
			continue
		}
		pause = 0
		addr := connlimit.AddrOf(c.RemoteAddr())
		if err := g.admitAddr(addr); err != nil {
			g.observe(Event{Kind: Refused, Remote: c.RemoteAddr().String(), Reason: reason.Limit, Err: err})
			c.Close()
			continue
		}
		go func() {
			defer g.passing.Give()
			defer g.passing.GiveAddr(addr)
			g.pass(c, service)
		}()
	}
}

var (
	errPerIP       = reason.Refuse(reason.Limit, "too many connections of one address")
	errConnections = reason.Refuse(reason.Limit, "too many connections")
)

// admitAddr counts a connection of an address. When too many connections are open it
// waits for one to end, twice as long as a client may take for its first message, so that
// the places of silent ones come free in time; the next ones wait in the kernel's queue.
func (g *Gateway) admitAddr(addr netip.Prefix) error {
	if !g.passing.TakeAddr(addr) {
		return errPerIP
	}
	wait := 2 * g.config.Passthrough.Handshake
	until := time.Now().Add(wait)
	timer := time.AfterFunc(wait, g.passing.Wake)
	defer timer.Stop()
	if !g.passing.Take(func() bool { return !time.Now().Before(until) }) {
		g.passing.GiveAddr(addr)
		return errConnections
	}
	return nil
}

// pass carries one connection.
func (g *Gateway) pass(c net.Conn, service func(string) string) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(g.config.Passthrough.Handshake))
	name, begun, err := readServerName(c)
	if err != nil {
		return
	}
	c.SetDeadline(time.Time{})
	to, err := serviceOf(service, name)
	if err != nil || !validName(to) {
		return
	}
	h := holderOf(trust.Verified{}, c.RemoteAddr().String())
	t, err := g.pool.acquire(context.Background(), to, h)
	if err != nil {
		g.observe(Event{Kind: Unavailable, Services: []string{to}, Remote: c.RemoteAddr().String(), Reason: refusalOf(err), Err: err})
		return
	}
	defer g.pool.release(t, h)
	body := bytesOf(io.MultiReader(bytes.NewReader(begun), c), c)
	defer body.release()
	if err := t.carry(timedConn{c, g.config.Passthrough.Idle}, body, name, to); err != nil {
		if !body.brokenOff() {
			g.observe(Event{Kind: Failed, Services: []string{to}, Remote: c.RemoteAddr().String(), Err: err})
		}
		reset(c)
	}
}

// serviceOf asks the program about a name that a stranger has chosen.
func serviceOf(service func(string) string, name string) (to string, err error) {
	defer recovered("the service of ServePassthrough", &err)
	return service(name), nil
}

// carry moves bytes in both directions until the server has ended the connection.
func (t *gatewayEnd) carry(c net.Conn, from *body, sni, service string) error {
	r, err := http.NewRequest(http.MethodPost, "http://tunnel/", from)
	if err != nil {
		return err
	}
	r.Header[headerKind] = []string{kindStream}
	r.Header[headerRemote], r.Header[headerService] = []string{c.RemoteAddr().String()}, []string{service}
	if sni != "" {
		r.Header[headerSNI] = []string{sni}
	}
	res, err := t.client.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	t.noteBusy(res)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("reverse: passthrough: answered %d", res.StatusCode)
	}
	b := buffers.Get()
	defer buffers.Put(b)
	_, err = io.CopyBuffer(struct{ io.Writer }{c}, res.Body, b)
	return err
}

// timedConn bounds how long each write waits for a client that reads nothing.
type timedConn struct {
	net.Conn
	idle time.Duration
}

func (c timedConn) Write(b []byte) (int, error) {
	c.SetWriteDeadline(time.Now().Add(c.idle))
	return c.Conn.Write(b)
}

// CloseWrite says that no more will be written.
func (c timedConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Close()
}

// reset cuts a connection off, so that nobody takes it for ended.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}
