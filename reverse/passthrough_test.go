package reverse_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// servePassthrough opens a listener whose connections are tunnelled end to end to an inner
// port, which requests certificates itself.
func servePassthrough(tb testing.TB, d *dmz, s *innerServer, h http.Handler) (addr string, inner *ports.Port) {
	tb.Helper()
	inner = must[*ports.Port](tb)(ports.New(portConfig("inner", ports.Request, &web, trusting(tb, userCA))))
	srv := &http.Server{Handler: h, ErrorLog: discardLog}
	inner.Configure(srv)
	go srv.Serve(inner.Wrap(s.Listener()))
	tb.Cleanup(func() { srv.Close() })
	l := listen(tb)
	ended := make(chan error, 1)
	go func() {
		ended <- d.gateway.ServePassthrough(l, func(sni string) string {
			if sni == "localhost" {
				return "orders"
			}
			return ""
		})
	}()
	tb.Cleanup(func() {
		l.Close()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	return l.Addr().String(), inner
}

func TestPassthroughCarriesTLSToTheServer(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	shop := newTestHandler()
	h := newGuard(t).Handler(shop)
	s := startConnected(t, d.serverConfig(t, orders, h, "orders"))
	addr, inner := servePassthrough(t, d, s, h)
	for _, h2 := range []bool{false, true} {
		c := newClient(t, addr, alice, h2)
		got := c.get("/x")
		if got.Code != 200 || got.User != "alice" || got.Via != identity.TLS || got.Port != "inner" || !got.TLS || strings.HasPrefix(got.Hop, "true") || !strings.HasPrefix(got.Remote, "127.0.0.1:") {
			t.Errorf("got %+v, want alice by her own TLS connection to port inner", got)
		}
		c.get("/x", header("Client-Cert", ":AAAA:"), header("X-Mtls-Caller", "none")) // no code reads these headers
		data := bytes.Repeat([]byte("0123456789"), 1<<20/2)
		if got := c.do(c.request("POST", "/sum", bytes.NewReader(data))); got.Code != 200 || len(got.Body) != 64 {
			t.Errorf("an upload: %d %q", got.Code, got.Body)
		}
		if got := c.get("/big?n=5000000"); len(got.Body) != 5_000_000 {
			t.Errorf("a download of %d", len(got.Body))
		}
		newClient(t, addr, nil, h2).get("/x").want(t, 403, reason.NoCertificate)
		newClient(t, addr, bob, h2).get("/x").want(t, 200, "")
	}
	if _, err := tls.Dial("tcp", addr, clientConfig(serverCA.Leaf("eve"))); err == nil {
		c := newClient(t, addr, serverCA.Leaf("eve"), true)
		if _, err := c.http.Get(c.url + "/x"); err == nil {
			t.Error("an untrusted certificate was accepted")
		}
	}
	// A change of the inner port's trust takes effect at once.
	c := newClient(t, addr, alice, true)
	c.get("/x")
	pc := inner.Config()
	pc.Trust = trusting(t, userCA, alice)
	if err := inner.Reconfigure(pc); err != nil {
		t.Fatal(err)
	}
	if got, err := c.http.Get(c.url + "/x"); err == nil && got.StatusCode != 403 {
		t.Errorf("revoked: %d", got.StatusCode)
	}
	testkit.Eventually(t, "the places to be given back", func() bool {
		for _, conn := range d.gateway.Tunnels() {
			if conn.InFlight > 20 {
				return false
			}
		}
		return true
	})
}

func TestPassthroughWithoutServiceIsClosed(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	h := newGuard(t).Handler(echo)
	s := startConnected(t, d.serverConfig(t, orders, h, "orders"))
	addr, _ := servePassthrough(t, d, s, h)
	for name, sent := range map[string]string{
		"not TLS": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "another name": string(clientHello(t, "admin")), "no name": string(clientHello(t, "")),
		"a register": "POST /mtlsguard/tunnel HTTP/1.1\r\n\r\n",
	} {
		c := must[net.Conn](t)(net.Dial("tcp", addr))
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, sent)
		if answer, _ := io.ReadAll(c); len(answer) > 0 {
			t.Errorf("%s: answered %q", name, answer)
		}
		c.Close()
	}
	newClient(t, addr, alice, true).get("/x").want(t, 200, "")
	if err := d.gateway.ServePassthrough(listen(t), nil); err == nil {
		t.Error("accepted a nil service function")
	}
}

// Without a listener inside, connections are refused.
func TestPassthroughWithoutListenerIsRefused(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	startConnected(t, d.serverConfig(t, orders, echo, "orders"))
	l := listen(t)
	go d.gateway.ServePassthrough(l, func(string) string { return "orders" })
	c := must[net.Conn](t)(net.Dial("tcp", l.Addr().String()))
	c.SetDeadline(time.Now().Add(patience))
	c.Write(clientHello(t, "localhost"))
	if b, err := io.ReadAll(c); len(b) > 0 || err == nil {
		t.Errorf("got %q, %v; want the connection to be aborted", b, err)
	}
	testkit.Eventually(t, "an event", func() bool { return d.events.count("failed") == 1 })
}

func TestPassthroughEndsWithItsTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	var running atomic.Int64
	h := newGuard(t).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		running.Add(-1)
	}))
	s := startConnected(t, d.serverConfig(t, orders, h, "orders"))
	addr, _ := servePassthrough(t, d, s, h)
	c := must[*tls.Conn](t)(tls.Dial("tcp", addr, clientConfig(alice)))
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('f')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(line, "half") {
			break
		}
	}
	closeTunnels(d)
	if _, err := io.ReadAll(r); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
	testkit.Eventually(t, "the handler to end", func() bool { return running.Load() == 0 })
}

func TestEndOfThePassthroughClientReachesTheServer(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	shop := newTestHandler()
	h := newGuard(t).Handler(shop)
	s := startConnected(t, d.serverConfig(t, orders, h, "orders"))
	addr, inner := servePassthrough(t, d, s, h)
	c := must[*tls.Conn](t)(tls.Dial("tcp", addr, clientConfig(alice)))
	fmt.Fprintf(c, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-shop.began
	c.NetConn().Close()
	select {
	case <-shop.cancelled:
	case <-time.After(patience):
		t.Error("the handler still runs")
	}
	if n := d.events.count("failed"); n != 0 {
		t.Errorf("%d failures, although the client ended the connection", n)
	}
	testkit.Eventually(t, "nothing to be left", func() bool { return inner.ConnCount() == 0 && d.gateway.Tunnels()[0].InFlight == 0 })
}
