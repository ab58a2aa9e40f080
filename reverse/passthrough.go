package reverse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// mostUnknown bounds the connections of ServePassthrough that have not said yet where
// they want to go.
const mostUnknown = 1024

// ServePassthrough takes TLS connections and hands them on as they are, to a server
// of the service that the name asked for (SNI) stands for. The client's handshake ends
// in that server: the gateway sees neither certificate nor request, and can state
// nothing. service answers with "" for names that nobody serves; their connections are
// closed. The listener yields plain connections.
//
// It returns nil when the listener is closed; connections that are open stay so until
// one side ends them, or Shutdown.
func (g *Gateway) ServePassthrough(l net.Listener, service func(sni string) string) error {
	if service == nil {
		return errors.New("reverse: ServePassthrough needs a function that says whose a name is")
	}
	unknown := make(chan struct{}, mostUnknown)
	for pause := time.Duration(0); ; {
		unknown <- struct{}{} // the next ones wait in the kernel's queue
		c, err := l.Accept()
		if err != nil {
			<-unknown
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second) // no descriptors left, say: it may pass
			time.Sleep(pause)
			continue
		}
		pause = 0
		go g.pass(c, service, sync.OnceFunc(func() { <-unknown }))
	}
}

// pass carries one connection. known is called when it is clear where to.
func (g *Gateway) pass(c net.Conn, service func(string) string, known func()) {
	defer known()
	defer c.Close()
	c.SetDeadline(time.Now().Add(helloTime / 2))
	name, begun, err := readServerName(c)
	if err != nil {
		return
	}
	c.SetDeadline(time.Time{})
	to := service(name)
	if !validName(to) {
		return
	}
	t, err := g.pool.acquire(context.Background(), to)
	known()
	if err != nil {
		g.observe(Event{Kind: Unavailable, Services: []string{to}, Remote: c.RemoteAddr().String(), Err: err})
		return
	}
	defer g.pool.release(t)
	body := bytesOf(io.MultiReader(bytes.NewReader(begun), c), c)
	defer body.release()
	if err := t.carry(c, body, name, to); err != nil {
		if !body.brokenOff() {
			g.observe(Event{Kind: Failed, Services: []string{to}, Remote: c.RemoteAddr().String(), Err: err})
		}
		reset(c)
	}
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
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("reverse: passthrough: answered %d", res.StatusCode)
	}
	b := buffers.Get()
	defer buffers.Put(b)
	_, err = io.CopyBuffer(struct{ io.Writer }{c}, res.Body, b)
	return err
}

// reset cuts a connection off, so that nobody takes it for ended.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}
