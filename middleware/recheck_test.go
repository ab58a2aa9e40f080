package middleware_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// long answers until the client ends: /hijacked on the hijacked connection, /chatty with a
// line every 50 ms, /silent with one line, /upload by reading.
var long = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/orders/hijacked") {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		c.SetDeadline(time.Time{})
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		go func() { // the handler returns before the connection ends
			defer c.Close()
			io.Copy(c, rw)
		}()
		return
	}
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 always has it
	for {
		if _, err := io.WriteString(w, "tick\n"); err != nil || control.Flush() != nil {
			return
		}
		switch r.URL.Path {
		case "/orders/silent":
			<-r.Context().Done()
			return
		case "/orders/upload":
			io.Copy(io.Discard, r.Body)
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
})

// listened is an answer that the client is reading.
type listened struct {
	ended chan struct{}
	body  io.ReadCloser
}

// begin sends a request whose answer does not end, and reads it.
func begin(t *testing.T, c *client, path string, change ...func(*http.Request)) *listened {
	t.Helper()
	c.http.Timeout = 0
	method, body := "GET", io.Reader(nil)
	if path == "/orders/upload" {
		method = "POST"
		r, w := io.Pipe()
		t.Cleanup(func() { w.Close() })
		body = r
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r := must[*http.Request](t)(http.NewRequestWithContext(ctx, method, c.url+path, body))
	for _, f := range change {
		f(r)
	}
	res := must[*http.Response](t)(c.http.Do(r))
	if res.StatusCode != 200 {
		t.Fatalf("%s: %d, want 200", path, res.StatusCode)
	}
	l := &listened{make(chan struct{}), res.Body}
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); line != "tick\n" {
		t.Fatalf("got %q, %v; want a tick", line, err)
	}
	go func() {
		io.Copy(io.Discard, lines)
		close(l.ended)
	}()
	return l
}

func (l *listened) open() bool {
	select {
	case <-l.ended:
		return false
	default:
		return true
	}
}

// hijacked sends a request whose connection is hijacked, and reads the echo.
func hijacked(t *testing.T, gate *ports.Port, gateway *testpki.Pair, certificate string) *listened {
	t.Helper()
	c := dialRaw(t, gate, gateway, "http/1.1")
	c.SetDeadline(time.Time{})
	if res := c.response("GET /orders/hijacked HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nClient-Cert: " + certificate + "\r\n\r\n"); res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	io.WriteString(c, "hello\n")
	if line, err := c.r.ReadString('\n'); line != "hello\n" {
		t.Fatalf("got %q, %v; want hello", line, err)
	}
	l := &listened{make(chan struct{}), c}
	go func() {
		io.Copy(io.Discard, c.r)
		close(l.ended)
	}()
	return l
}

// Covers G11. An open request behind a gateway ends when the user or the gateway is no longer
// trusted. The requests of other users on the same connection go on.
func TestUnderWayBehindAGatewayEndsWithTheTrust(t *testing.T) {
	t.Parallel()
	w := shared()
	revoking := func(t *testing.T, ca, holder *testpki.Pair) *trust.Verifier {
		return trusting(t, nil, []*x509.RevocationList{ca.CRL(1, []*big.Int{holder.Cert.SerialNumber})}, ca)
	}
	for name, x := range map[string]struct {
		change  func(t *testing.T, users, gateways *testkit.Clock, next func(...func(*forwarded.Config)))
		gateway bool // all requests of the gateway end
	}{
		"the user expires": {change: func(_ *testing.T, users, _ *testkit.Clock, _ func(...func(*forwarded.Config))) {
			users.Advance(36 * time.Hour)
		}},
		"the user is revoked": {change: func(t *testing.T, _, _ *testkit.Clock, next func(...func(*forwarded.Config))) {
			next(func(c *forwarded.Config) { c.Users = revoking(t, w.ca, w.alice) })
		}},
		"the gateway is revoked": {gateway: true, change: func(t *testing.T, _, _ *testkit.Clock, next func(...func(*forwarded.Config))) {
			next(func(c *forwarded.Config) { c.Gateways.Trust = revoking(t, gatewayPKI().ca, gatewayPKI().gateway) })
		}},
		"the gateway has another name": {gateway: true, change: func(_ *testing.T, _, _ *testkit.Clock, next func(...func(*forwarded.Config))) {
			next(func(c *forwarded.Config) { c.Gateways.Names = []string{"new.acme.example"} })
		}},
		"the gateway expires": {gateway: true, change: func(_ *testing.T, _, gateways *testkit.Clock, _ func(...func(*forwarded.Config))) {
			gateways.Advance(36 * time.Hour)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.OnFakeClock(t, func(t *testing.T) {
				var userTime, gatewayTime testkit.Clock
				users, gateways := newTrust(t, userTime.Now), trusting(t, gatewayTime.Now, nil, gatewayPKI().ca)
				receiver := func(change ...func(*forwarded.Config)) *forwarded.Receiver {
					return newReceiver(t, append([]func(*forwarded.Config){func(c *forwarded.Config) { c.Users, c.Gateways.Trust = users, gateways }}, change...)...)
				}
				edge := gatewayPKI().gateway
				alice := w.alice
				other := w.ca.Leaf("bob", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(9 * 24 * time.Hour) })
				gate := newGatewayPort(t, "gate", ports.Require)
				mapped := func(c *middleware.Config) {
					c.Map = must[*certmap.Table](t)(certmap.New(
						certmap.Mapping{ID: "a", User: "alice", Fingerprint: trust.FingerprintOf(alice.Cert)},
						certmap.Mapping{ID: "b", User: "bob", Fingerprint: trust.FingerprintOf(other.Cert)},
					))
				}
				guard := newGuard(t, withReceiver("gate", receiver(), middleware.Strict), mapped)
				servePipes(t, guard.Handler(long), gate)
				next := func(change ...func(*forwarded.Config)) {
					t.Helper()
					if err := guard.Reconfigure(config(t, withReceiver("gate", receiver(change...), middleware.Strict), mapped)); err != nil {
						t.Fatal(err)
					}
				}
				mine, others := map[string]*listened{}, map[string]*listened{}
				h2 := dial(t, gate, edge, true)
				for _, path := range []string{"/orders/chatty", "/orders/silent", "/orders/upload"} {
					mine["HTTP/2 "+path] = begin(t, h2, path, forwards(alice))
					others["HTTP/2 "+path] = begin(t, h2, path, forwards(other))
					mine["HTTP/1.1 "+path] = begin(t, dial(t, gate, edge, false), path, forwards(alice))
					others["HTTP/1.1 "+path] = begin(t, dial(t, gate, edge, false), path, forwards(other))
				}
				mine["hijacked"] = hijacked(t, gate, edge, sequence(alice.Cert))
				others["hijacked"] = hijacked(t, gate, edge, sequence(other.Cert))
				start := time.Now()
				x.change(t, &userTime, &gatewayTime, next)
				ends := func(whose string, all map[string]*listened) {
					for what, l := range all {
						select {
						case <-l.ended:
						case <-time.After(testkit.Patience):
							t.Errorf("%s, %s: the request goes on", whose, what)
						}
					}
				}
				ends("alice", mine)
				if d := time.Since(start); d > 2*time.Second { // one to notice, and one to end
					t.Errorf("the end took %v", d)
				}
				if x.gateway {
					ends("bob", others)
					return
				}
				time.Sleep(1500 * time.Millisecond) // one more check, which must not end the others
				for what, l := range others {
					if !l.open() {
						t.Errorf("bob's %s was ended", what)
					}
				}
			})
		})
	}
}
