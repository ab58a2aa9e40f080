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

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// silent opens n connections from an address, and writes what on each.
func silent(tb testing.TB, addr, from string, n int, what []byte) {
	tb.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	var all sync.WaitGroup
	for range n {
		c, err := d.Dial("tcp", addr)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { c.Close() })
		all.Go(func() { c.Write(what) })
	}
	all.Wait()
}

func passthrough(limits ports.Limits) dmzOption {
	return gatewayConfig(func(c *reverse.GatewayConfig) { c.Passthrough = limits })
}

// Connections that say nothing, or half of a hello, do not delay the handshakes of
// others. Covers K12.
func TestSilentConnectionsDelayNoPassthrough(t *testing.T) {
	t.Parallel()
	n := 1500
	if *full {
		n = 3000
	}
	for name, what := range map[string][]byte{"silent": nil, "half a hello": clientHello(t, "localhost")[:40]} {
		t.Run(name, func(t *testing.T) {
			d := newDMZ(t)
			h := newGuard(t).Handler(echo)
			s := connected(t, d.serverConfig(t, orders, h, "orders"))
			addr, _ := through(t, d, s, h)
			for i := range n / 100 {
				silent(t, addr, fmt.Sprintf("127.0.1.%d", i+1), 100, what)
			}
			for range 5 {
				began := time.Now()
				newClient(t, addr, alice, true).get("/x").want(t, 200, "")
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("a handshake and a request took %v", took)
				}
			}
		})
	}
}

// One address has PerIP connections, whether they say something or not; others are
// served, and the address again when its connections have ended. Covers K12.
func TestPassthroughIsBoundedByAddress(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, passthrough(ports.Limits{PerIP: 3, Handshake: time.Second}))
	h := newGuard(t).Handler(echo)
	s := connected(t, d.serverConfig(t, orders, h, "orders"))
	addr, _ := through(t, d, s, h)
	silent(t, addr, "127.0.1.1", 3, nil)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}, Timeout: patience}
	c := must[net.Conn](t)(dialer.Dial("tcp", addr))
	defer c.Close()
	c.SetDeadline(time.Now().Add(500 * time.Millisecond))
	if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("one too many ended with %v, want an end at once", err)
	}
	if why := d.events.refused(t); why != reason.Limit {
		t.Errorf("the event says %q", why)
	}
	newClient(t, addr, alice, true).get("/x").want(t, 200, "") // another address
	eventually(t, "the address to be served again", func() bool {
		c, err := tls.DialWithDialer(&dialer, "tcp", addr, clientConfig(alice))
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// Connections wait when too many are open, and not for ever: silent ones end after
// Handshake, and closing the listener ends ServePassthrough. Covers K12.
func TestPassthroughIsBoundedInAll(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, passthrough(ports.Limits{Connections: 2, Handshake: 300 * time.Millisecond}))
	h := newGuard(t).Handler(echo)
	s := connected(t, d.serverConfig(t, orders, h, "orders"))
	addr, _ := through(t, d, s, h)
	silent(t, addr, "127.0.1.1", 2, nil)
	c := newClient(t, addr, alice, true)
	eventually(t, "a place", func() bool { // each attempt waits as long as the silent ones may
		res, err := c.http.Do(c.request("GET", "/x", nil).WithContext(t.Context()))
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	silent(t, addr, "127.0.1.1", 6, nil) // and through's cleanup waits for the end
}

// A client that reads nothing gives its place back after Idle, end to end and behind
// an upgrade. Covers H16, K12.
func TestClientThatReadsNothingIsCutOff(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, passthrough(ports.Limits{Idle: 500 * time.Millisecond}), func(_ *reverse.GatewayConfig, external, _ *ports.Config) {
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
	s := connected(t, d.serverConfig(t, orders, h, "orders"))
	addr, _ := through(t, d, s, h)
	held := func() int { return d.gateway.Tunnels()[0].InFlight }

	c := must[*tls.Conn](t)(tls.Dial("tcp", addr, clientConfig(alice)))
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "a place to be held", func() bool { return held() == 1 })
	eventually(t, "it to be given back", func() bool { return held() == 0 })

	_, res := switched(t, d, alice, "/", "websocket")
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	eventually(t, "a place to be held", func() bool { return held() == 1 })
	eventually(t, "it to be given back", func() bool { return held() == 0 })
}
