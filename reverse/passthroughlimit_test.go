package reverse_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// openSilent opens n connections from an address, and writes data on each.
func openSilent(tb testing.TB, addr, from string, n int, data []byte) (out []net.Conn) {
	tb.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	var all sync.WaitGroup
	for range n {
		c, err := d.Dial("tcp", addr)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { c.Close() })
		all.Go(func() { c.Write(data) })
		out = append(out, c)
	}
	all.Wait()
	return out
}

func passthroughLimits(limits ports.Limits) dmzOption {
	return gatewayConfig(func(c *reverse.GatewayConfig) { c.Passthrough = limits })
}

// Clients that send nothing, or half of a ClientHello.
//
// Covers K12.
func TestSilentConnectionsDelayNoPassthrough(t *testing.T) {
	t.Parallel()
	n := 500
	if *full {
		n = 3000
	}
	for name, sent := range map[string][]byte{"silent": nil, "half a hello": clientHello(t, "localhost")[:40]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t, passthroughLimits(ports.Limits{Handshake: time.Minute})) // a connection that waits for the silent ones would wait this long
			h := newGuard(t).Handler(echo)
			s := startConnected(t, d.serverConfig(t, orders, h, "orders"))
			addr, _ := servePassthrough(t, d, s, h)
			for i := range n / 100 {
				openSilent(t, addr, fmt.Sprintf("127.0.1.%d", i+1), 100, sent)
			}
			for range 5 {
				newClient(t, addr, alice, true).get("/x").want(t, 200, "") // gives up after patience
			}
		})
	}
}

// One address may have PerIP connections, also silent ones. Other addresses are served, and
// this one again when its connections have ended.
//
// Covers K12.
func TestPassthroughIsLimitedByAddress(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, passthroughLimits(ports.Limits{PerIP: 3, Handshake: 2 * patience})) // by then no connection ends by itself
	h := newGuard(t).Handler(echo)
	s := startConnected(t, d.serverConfig(t, orders, h, "orders"))
	addr, _ := servePassthrough(t, d, s, h)
	silent := openSilent(t, addr, "127.0.1.1", 3, nil)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}, Timeout: patience}
	c := must[net.Conn](t)(dialer.Dial("tcp", addr))
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection above the limit ended with %v, want an end at once", err)
	}
	if why := d.events.waitForRefusal(t); why != reason.Limit {
		t.Errorf("the reason is %q, want %q", why, reason.Limit)
	}
	newClient(t, addr, alice, true).get("/x").want(t, 200, "") // another address
	for _, c := range silent {
		c.Close()
	}
	testkit.Eventually(t, "the address to be served again", func() bool {
		c, err := tls.DialWithDialer(&dialer, "tcp", addr, clientConfig(alice))
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// Connections above the limit wait. Silent connections end after Handshake, and closing the
// listener ends ServePassthrough. Covers K12.
func TestPassthroughIsLimitedInAll(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, passthroughLimits(ports.Limits{Connections: 2, Handshake: 300 * time.Millisecond}))
	h := newGuard(t).Handler(echo)
	s := startConnected(t, d.serverConfig(t, orders, h, "orders"))
	addr, _ := servePassthrough(t, d, s, h)
	openSilent(t, addr, "127.0.1.1", 2, nil)
	c := newClient(t, addr, alice, true)
	testkit.Eventually(t, "a place", func() bool { // each attempt waits as long as the silent connections
		res, err := c.http.Do(c.request("GET", "/x", nil).WithContext(t.Context()))
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	openSilent(t, addr, "127.0.1.1", 6, nil) // the cleanup waits for their end
}

// The place of a client that reads nothing is free again after Idle, end to end and after an
// upgrade. Covers H16, K12.
func TestClientThatDoesNotReadIsAborted(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, passthroughLimits(ports.Limits{Idle: 500 * time.Millisecond}), func(_ *reverse.GatewayConfig, external, _ *ports.Config) {
		external.Limits.Idle = 500 * time.Millisecond
	})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.CopyN(w, zeros{}, 100_000_000)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.CopyN(c, zeros{}, 100_000_000)
	})
	s := startConnected(t, d.serverConfig(t, orders, h, "orders"))
	addr, _ := servePassthrough(t, d, s, h)
	held := func() int { return d.gateway.Tunnels()[0].InFlight }

	c := must[*tls.Conn](t)(tls.Dial("tcp", addr, clientConfig(alice)))
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	testkit.Eventually(t, "a place to be held", func() bool { return held() == 1 })
	testkit.Eventually(t, "it to be given back", func() bool { return held() == 0 })

	_, res := upgrade(t, d, alice, "/", "websocket")
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	testkit.Eventually(t, "a place to be held", func() bool { return held() == 1 })
	testkit.Eventually(t, "it to be given back", func() bool { return held() == 0 })
}
