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
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// long answers for as long as anybody listens: /hijacked on a connection of its own,
// /chatty with a line every few milliseconds, /silent with one line, /upload by reading.
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
	_ = control.EnableFullDuplex() // HTTP/2 has it anyway
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
		case <-time.After(5 * time.Millisecond):
		}
	}
})

// listened is an answer that goes on.
type listened struct {
	ended chan struct{}
	body  io.ReadCloser
}

// begin begins a request whose answer goes on, and reads it.
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
		t.Fatalf("%s: %d", path, res.StatusCode)
	}
	l := &listened{make(chan struct{}), res.Body}
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); line != "tick\n" {
		t.Fatalf("%q, %v", line, err)
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

// hijacked begins a request whose connection is hijacked, and reads what is echoed.
func hijacked(t *testing.T, gate *ports.Port, gateway *testpki.Pair, statement string) *listened {
	t.Helper()
	c := dialRaw(t, gate, gateway, "http/1.1")
	c.SetDeadline(time.Time{})
	if res := c.response("GET /orders/hijacked HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nClient-Cert: " + statement + "\r\n\r\n"); res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	io.WriteString(c, "hello\n")
	if line, err := c.r.ReadString('\n'); line != "hello\n" {
		t.Fatalf("%q, %v", line, err)
	}
	l := &listened{make(chan struct{}), c}
	go func() {
		io.Copy(io.Discard, c.r)
		close(l.ended)
	}()
	return l
}

// Covers G11. What a gateway's callers have begun ends with the trust in the user or in
// the gateway; what others have begun on the same connection goes on.
func TestUnderWayBehindAGatewayEndsWithTheTrust(t *testing.T) {
	t.Parallel()
	w := shared()
	revoking := func(t *testing.T, ca, who *testpki.Pair) *trust.Verifier {
		return trusting(t, nil, []*x509.RevocationList{ca.CRL(1, []*big.Int{who.Cert.SerialNumber})}, ca)
	}
	for name, x := range map[string]struct {
		change  func(t *testing.T, users, gateways *clock, next func(...func(*forwarded.Config)))
		gateway bool // everything of the gateway's ends
	}{
		"the user expires": {change: func(_ *testing.T, users, _ *clock, _ func(...func(*forwarded.Config))) { users.advance(36 * time.Hour) }},
		"the user is revoked": {change: func(t *testing.T, _, _ *clock, next func(...func(*forwarded.Config))) {
			next(func(c *forwarded.Config) { c.Users = revoking(t, w.ca, w.alice) })
		}},
		"the gateway is revoked": {gateway: true, change: func(t *testing.T, _, _ *clock, next func(...func(*forwarded.Config))) {
			next(func(c *forwarded.Config) { c.Gateways.Trust = revoking(t, atTheEdge().ca, atTheEdge().gateway) })
		}},
		"the gateway has another name": {gateway: true, change: func(_ *testing.T, _, _ *clock, next func(...func(*forwarded.Config))) {
			next(func(c *forwarded.Config) { c.Gateways.Names = []string{"new.acme.example"} })
		}},
		"the gateway expires": {gateway: true, change: func(_ *testing.T, _, gateways *clock, _ func(...func(*forwarded.Config))) {
			gateways.advance(36 * time.Hour)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var userTime, gatewayTime clock
			users, gateways := newTrust(t, userTime.Now), trusting(t, gatewayTime.Now, nil, atTheEdge().ca)
			receiver := func(change ...func(*forwarded.Config)) *forwarded.Receiver {
				return newReceiver(t, append([]func(*forwarded.Config){func(c *forwarded.Config) { c.Users, c.Gateways.Trust = users, gateways }}, change...)...)
			}
			edge := atTheEdge().gateway
			alice := w.alice
			other := w.ca.Leaf("bob", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(9 * 24 * time.Hour) })
			gate := newGate(t, "gate", ports.Require)
			mapped := func(c *middleware.Config) {
				c.Map = must[*certmap.Table](t)(certmap.New(
					certmap.Mapping{ID: "a", User: "alice", Fingerprint: trust.FingerprintOf(alice.Cert)},
					certmap.Mapping{ID: "b", User: "bob", Fingerprint: trust.FingerprintOf(other.Cert)},
				))
			}
			guard := newGuard(t, gated("gate", receiver(), middleware.Strict), mapped)
			serve(t, guard.Handler(long), gate)
			next := func(change ...func(*forwarded.Config)) {
				t.Helper()
				if err := guard.Reconfigure(config(t, gated("gate", receiver(change...), middleware.Strict), mapped)); err != nil {
					t.Fatal(err)
				}
			}
			mine, others := map[string]*listened{}, map[string]*listened{}
			h2 := dial(t, gate, edge, true)
			for _, path := range []string{"/orders/chatty", "/orders/silent", "/orders/upload"} {
				mine["HTTP/2 "+path] = begin(t, h2, path, stated(alice))
				others["HTTP/2 "+path] = begin(t, h2, path, stated(other))
				mine["HTTP/1.1 "+path] = begin(t, dial(t, gate, edge, false), path, stated(alice))
				others["HTTP/1.1 "+path] = begin(t, dial(t, gate, edge, false), path, stated(other))
			}
			mine["hijacked"] = hijacked(t, gate, edge, sequence(alice.Cert))
			others["hijacked"] = hijacked(t, gate, edge, sequence(other.Cert))
			start := time.Now()
			x.change(t, &userTime, &gatewayTime, next)
			ends := func(whose string, all map[string]*listened) {
				for what, l := range all {
					select {
					case <-l.ended:
					case <-time.After(10 * time.Second):
						t.Errorf("%s, %s: goes on", whose, what)
					}
				}
			}
			ends("alice", mine)
			if d := time.Since(start); d > 4*time.Second { // a second to notice, one to end, and a loaded machine
				t.Errorf("it took %v", d)
			}
			if x.gateway {
				ends("bob", others)
				return
			}
			time.Sleep(1500 * time.Millisecond) // for what must not happen: one more check
			for what, l := range others {
				if !l.open() {
					t.Errorf("bob's %s was ended", what)
				}
			}
		})
	}
}
