package middleware_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Covers H15. If a client grants no window for its refusals, its connection, its streams and
// their goroutines still end, with and without a certificate.
func TestRefusalsWithoutWindowEnd(t *testing.T) {
	t.Parallel()
	shared()                                                   // outside the bubbles, which use it too
	for _, holder := range []string{"", "unmapped", "alice"} { // alice's echo waits for the window too
		for _, body := range []bool{false, true} {
			t.Run(fmt.Sprintf("%q, body %v", holder, body), func(t *testing.T) {
				testkit.OnFakeClock(t, func(t *testing.T) { wantRefusalsToEnd(t, shared().pairs[holder], body) })
			})
		}
	}
}

// wantRefusalsToEnd sends requests of a client that grants no window, and waits for the end of its
// connection. OnFakeClock fails if a goroutine of a stream is left.
func wantRefusalsToEnd(t *testing.T, holder *testpki.Pair, body bool) {
	const streams, bound = 100, 9 * time.Second
	port := newPort(t, "p", ports.Request, func(c *ports.Config) { c.Limits.Idle, c.Limits.Headers = time.Second, time.Second })
	c := &h2Conn{rawConn: overPipe(t, port, newGuard(t).Handler(echo), holder)}
	go io.Copy(io.Discard, c.r)
	c.begin()
	c.frame(frameSettings, 0, 0, []byte{0, 4, 0, 0, 0, 0}) // SETTINGS_INITIAL_WINDOW_SIZE = 0
	flags := byte(flagEndHeaders | flagEndStream)
	if body {
		flags = flagEndHeaders // the end never arrives
	}
	for i := range uint32(streams) {
		c.frame(frameHeaders, flags, 2*i+1, literals([]field{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/"}}))
	}
	start := time.Now()
	for port.ConnCount() > 0 {
		if time.Since(start) > bound {
			t.Errorf("the connection is still there after %v", bound)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("it ended after %.1f s", time.Since(start).Seconds())
}

// overPipe serves a port over a pipe until the test ends, and returns a connection of HTTP/2.
func overPipe(t *testing.T, port *ports.Port, h http.Handler, p *testpki.Pair) *rawConn {
	t.Helper()
	l := chanlisten.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	srv := &http.Server{Handler: h}
	if err := port.Configure(srv); err != nil {
		t.Fatal(err)
	}
	go srv.Serve(port.Wrap(l))
	client, server := testkit.Pipe()
	t.Cleanup(func() {
		client.Close()
		srv.Close()
		time.Sleep(10 * time.Minute) // every goroutine of the port ends, such as its sweep
	})
	if err := l.Hand(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	c := tls.Client(client, tlsConfig(p, "h2"))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &rawConn{t, c, bufio.NewReader(c)}
}
