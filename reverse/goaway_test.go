package reverse_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// Covers K14. A handler that answers Connection: close, in any way, ends no tunnel.
func TestConnectionCloseOfAHandlerEndsNoTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		switch r.URL.Path {
		case "/status":
			w.WriteHeader(http.StatusNoContent)
		case "/flush":
			_ = http.NewResponseController(w).Flush()
		case "/write":
			io.WriteString(w, "x")
		case "/hint":
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Connection", "close")
		case "/trailer":
			w.Header().Set("Trailer", "Sum")
			w.Header().Set("Sum", "1")
		case "/late":
			io.WriteString(w, "x")
			w.Header().Set("Connection", "close")
		} // and a handler that writes nothing
	})), "orders"))
	onBothVersions(t, func(t *testing.T, h2 bool) {
		c := d.client(t, alice, h2)
		for range 3 {
			for _, path := range []string{"/", "/status", "/flush", "/write", "/hint", "/trailer", "/late"} {
				if s := c.get(path); s.Code != 200 && s.Code != 204 {
					t.Errorf("%s: answered %d, want 200 or 204", path, s.Code)
				}
			}
		}
		s := c.get("/", header("Upgrade", "websocket"), header("Connection", "Upgrade"))
		if !h2 && s.Code != 200 {
			t.Errorf("upgrade: %d", s.Code)
		}
	})
	t.Cleanup(func() {
		if n := d.events.count(reverse.Gone) + d.events.count(reverse.Draining) + d.events.count(reverse.Failed); n != 0 {
			t.Errorf("%d tunnels or requests were lost", n)
		}
	})
}

// Covers K14. A tunnel whose server has sent GOAWAY gets no new requests: they go to other
// tunnels, its state is Draining, and the gateway requests another tunnel from its server.
func TestTunnelGoingAwayLeavesService(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(*frameServer, uint32){
		"GOAWAY":         func(s *frameServer, stream uint32) { s.answer(stream); s.goAway(stream) },
		"PROTOCOL_ERROR": func(s *frameServer, stream uint32) { s.answer(stream); s.reset(stream, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.QueueWait = patience }))
			frames := newFrameServer(t, d, do)
			testkit.Eventually(t, "the tunnel", func() bool { return len(d.gateway.Tunnels()) == 1 })
			c := d.client(t, alice, true)
			if s := c.get("/first"); s.Code != 200 {
				t.Fatalf("answered %d, want 200", s.Code)
			}
			if name == "GOAWAY" {
				testkit.Eventually(t, "its state", func() bool { return d.gateway.Tunnels()[0].Draining })
				testkit.Eventually(t, "a request for another tunnel", func() bool { return frames.hasReceived("renew") || len(d.gateway.Tunnels()) == 0 })
			}
			startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
			for range 100 {
				if s := c.get("/x"); s.Code != 200 {
					t.Fatalf("answered %d while a tunnel goes away", s.Code)
				}
			}
			if name == "GOAWAY" && frames.requests.Load() != 1 {
				t.Errorf("%d requests went to the tunnel that goes away", frames.requests.Load()-1)
			}
			if n := d.events.count(reverse.Failed); n != 0 {
				t.Errorf("%d requests failed", n)
			}
		})
	}
}

// Covers K14. A request that no handler can have seen is sent to another tunnel, once. A
// request whose body has been read, or that a handler may have seen, is not.
func TestUnprocessedRequestsGoThroughAnotherTunnel(t *testing.T) {
	t.Parallel()
	type row struct {
		do     func(*frameServer, uint32)
		method string
		code   int
	}
	goes := func(s *frameServer, stream uint32) { s.goAway(stream - 2) }
	refuses := func(s *frameServer, stream uint32) { s.reset(stream, 7) }
	for name, row := range map[string]row{
		"GOAWAY before it":          {goes, "GET", 200},
		"REFUSED_STREAM":            {refuses, "GET", 200},
		"GOAWAY, a body":            {goes, "POST", 502},
		"REFUSED_STREAM, a body":    {refuses, "POST", 502},
		"INTERNAL_ERROR":            {func(s *frameServer, stream uint32) { s.reset(stream, 2) }, "GET", 502},
		"GOAWAY after it, then end": {func(s *frameServer, stream uint32) { s.goAway(stream); s.c.Close() }, "GET", 502},
		"end":                       {func(s *frameServer, _ uint32) { s.c.Close() }, "GET", 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var frames *frameServer
			// The frame server connects first, so that the request goes there.
			d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) {
				c.Pick = func(all []reverse.Tunnel) reverse.Tunnel {
					for _, x := range all {
						if x.Remote == frames.c.LocalAddr().String() && frames.requests.Load() == 0 {
							return x
						}
					}
					return all[len(all)-1]
				}
			}))
			frames = newFrameServer(t, d, row.do)
			testkit.Eventually(t, "the frame server's tunnel", func() bool { return len(d.gateway.Tunnels()) == 1 })
			var ran atomic.Int64
			startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ran.Add(1)
				io.Copy(w, r.Body)
			})), "orders"))
			c := d.client(t, alice, true)
			var body io.Reader
			if row.method == "POST" {
				body = strings.NewReader("body")
			}
			s := c.do(c.request(row.method, "/x", body))
			if s.Code != row.code || frames.requests.Load() != 1 {
				t.Errorf("answered %d, want %d; the frame server got it %d times", s.Code, row.code, frames.requests.Load())
			}
			if want := int64(1); row.code == 200 && ran.Load() != want || row.code != 200 && ran.Load() != 0 {
				t.Errorf("ran %d times", ran.Load())
			}
			testkit.Eventually(t, "the places", func() bool {
				n := 0
				for _, x := range d.gateway.Tunnels() {
					n += x.InFlight
				}
				return n == 0
			})
		})
	}
}

// Covers K14. Without another tunnel the answer is 503: no handler has run.
func TestUnprocessedRequestWithoutAnotherTunnelIsUnavailable(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.QueueWait = 50 * time.Millisecond }))
	newFrameServer(t, d, func(s *frameServer, stream uint32) { s.goAway(stream - 2) })
	testkit.Eventually(t, "the tunnel", func() bool { return len(d.gateway.Tunnels()) == 1 })
	if s := d.client(t, alice, true).get("/x"); s.Code != 503 || s.Answer.Get("Retry-After") == "" {
		t.Errorf("answered %d %v", s.Code, s.Answer)
	}
}

// A server that sends drain again and again causes one event, and loses its tunnel.
// Covers K23.
func TestSecondDrainMessageEndsTheTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	frames := newFrameServer(t, d, func(*frameServer, uint32) {})
	testkit.Eventually(t, "the tunnel", func() bool { return len(d.gateway.Tunnels()) == 1 })
	c := d.client(t, alice, true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // a request in flight keeps a draining tunnel open
		if res, err := c.http.Do(c.request("GET", "/x", nil).WithContext(ctx)); err == nil {
			res.Body.Close()
		}
	}()
	testkit.Eventually(t, "the request", func() bool { return frames.requests.Load() == 1 })
	frames.frame(0, 0, 1, []byte(strings.Repeat("drain\n", 1000)))
	testkit.Eventually(t, "the end of the tunnel", func() bool { return d.events.count(reverse.Gone) == 1 })
	if n := d.events.count(reverse.Draining); n != 1 {
		t.Errorf("%d events", n)
	}
}
