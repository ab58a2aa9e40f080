package reverse_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// stuckHandler is a handler that ignores its context.
type stuckHandler struct {
	running, peak atomic.Int64
	release       chan struct{}
}

func newStuckHandler(tb testing.TB) *stuckHandler {
	s := &stuckHandler{release: make(chan struct{})}
	tb.Cleanup(s.finish)
	return s
}

func (s *stuckHandler) finish() {
	select {
	case <-s.release:
	default:
		close(s.release)
	}
}

func (s *stuckHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/x" {
		echo.ServeHTTP(w, r)
		return
	}
	n := s.running.Add(1)
	defer s.running.Add(-1)
	for most := s.peak.Load(); n > most && !s.peak.CompareAndSwap(most, n); most = s.peak.Load() {
	}
	<-s.release
	w.WriteHeader(http.StatusNoContent)
}

// sendAndCancel sends n requests, waits until each of them runs or is answered, cancels the
// running ones, and waits until the gateway has none in flight. It counts the answers.
func sendAndCancel(tb testing.TB, d *dmz, callers []*client, s *stuckHandler, n int, answers map[int]int) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	before := s.running.Load()
	var answered atomic.Int64
	for i := range n {
		c := callers[i%len(callers)]
		all.Go(func() {
			res, err := c.http.Do(c.request("GET", "/stuck", nil).WithContext(ctx))
			if err != nil {
				if ctx.Err() == nil {
					tb.Errorf("no answer: %v", err)
				}
				return
			}
			defer res.Body.Close()
			answered.Add(1)
			mu.Lock()
			defer mu.Unlock()
			answers[res.StatusCode]++
			if res.StatusCode == 503 && (res.Header.Get("Retry-After") == "" || res.Header.Get("Content-Type") != "application/problem+json" || res.Header["X-Mtls-Tunnel"] != nil) {
				tb.Errorf("503 with %v", res.Header)
			}
		})
	}
	end := time.Now().Add(patience)
	for s.running.Load()-before+answered.Load() < int64(n) && time.Now().Before(end) {
		time.Sleep(2 * time.Millisecond)
	}
	cancel()
	all.Wait()
	testkit.Eventually(tb, "the places to be given back", func() bool {
		for _, c := range d.gateway.Tunnels() {
			if c.InFlight > 0 {
				return false
			}
		}
		return true
	})
}

// occupyHandlers leaves n handlers running, each of another caller. The server's handler must
// have no guard.
func occupyHandlers(tb testing.TB, d *dmz, s *stuckHandler, n int) {
	tb.Helper()
	for range n {
		sendAndCancel(tb, d, []*client{d.client(tb, userCA.Leaf("somebody"), true)}, s, 1, map[int]int{})
	}
}

// Callers that cancel their requests start no more handlers than the limit, and the tunnels
// stay.
//
// Covers K18.
func TestHandlersOfCancelledRequestsAreCounted(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, func(g *reverse.GatewayConfig, external, _ *ports.Config) {
		external.Limits.Handshake, g.Ping = patience, time.Minute // a busy machine is no fault
	})
	s := newStuckHandler(t)
	c := d.serverConfig(t, orders, s, "orders")
	c.Conns, c.Streams, c.Ping = 2, 50, time.Minute
	in := startConnected(t, c)
	testkit.Eventually(t, "two tunnels", func() bool { return len(d.gateway.Tunnels()) == 2 })
	var callers []*client
	for range 6 {
		callers = append(callers, d.client(t, userCA.Leaf("somebody"), true))
	}
	for _, c := range callers {
		c.get("/x").want(t, 200, "")
	}
	answers := map[int]int{}
	for range 6 {
		sendAndCancel(t, d, callers, s, 29, answers)
	}
	if most := s.peak.Load(); most > 100 || most < 80 { // six callers' shares leave a seventh of the places free
		t.Errorf("%d handlers ran at one time, want at most 100, and nearly 86", most)
	}
	if answers[503] < 174-100 || len(answers) != 1 {
		t.Errorf("answers by status: %v, want about 90 of 503 and no other", answers)
	}
	if n := in.events.count(reverse.Unavailable); n != answers[503] {
		t.Errorf("%d events of requests that no handler took, want %d", n, answers[503])
	}
	if n := d.events.count(reverse.Gone) + d.events.count(reverse.Failed); n != 0 || len(d.gateway.Tunnels()) != 2 {
		t.Errorf("%d tunnels or requests failed", n)
	}
	s.finish()
	testkit.Eventually(t, "the handlers to return", func() bool { return s.running.Load() == 0 })
	testkit.Eventually(t, "a place", func() bool { return callers[0].get("/x").Code == 200 })
}

// Requests that are cancelled as soon as they are sent do not fill net/http's queue of
// handlers, which would end the tunnel with ENHANCE_YOUR_CALM. Covers K18.
func TestRapidResetsEndNoTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newStuckHandler(t)
	c := d.serverConfig(t, orders, s, "orders")
	c.Streams = 4
	startConnected(t, c)
	caller := d.client(t, alice, true)
	occupyHandlers(t, d, s, 4)
	resets := 25 // of each of 40: with the 4 handlers, net/http queues 360 before it closes the connection
	if *full {
		resets = 100
	}
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			for i := range resets {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*100*time.Microsecond)
				if res, err := caller.http.Do(caller.request("GET", "/stuck", nil).WithContext(ctx)); err == nil {
					res.Body.Close()
				}
				cancel()
			}
		})
	}
	all.Wait()
	if most := s.peak.Load(); most > 4 {
		t.Errorf("%d handlers ran at one time, want at most 4", most)
	}
	if n := d.events.count(reverse.Gone); n != 0 {
		t.Errorf("%d tunnels ended", n)
	}
	s.finish()
	testkit.Eventually(t, "a place", func() bool { return caller.get("/x").Code == 200 })
}

// The handlers of a tunnel that has ended still count for the server. Covers K18.
func TestHandlersOfEndedTunnelsAreCounted(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newStuckHandler(t)
	c := d.serverConfig(t, orders, s, "orders")
	c.Streams = 3
	in := startConnected(t, c)
	caller := d.client(t, alice, true)
	occupyHandlers(t, d, s, 3)
	in.trustGateways(t, trusting(t, gatewayCA, gate))
	testkit.Eventually(t, "the tunnel to end", func() bool { return len(d.gateway.Tunnels()) == 0 })
	in.trustGateways(t, c.Gateways.Trust)
	testkit.Eventually(t, "a new tunnel", func() bool { return in.events.count(reverse.Registered) == 2 })
	if got := caller.get("/stuck"); got.Code != 503 {
		t.Errorf("answered %d, want 503", got.Code)
	}
	if most := s.peak.Load(); most != 3 {
		t.Errorf("%d handlers ran at one time", most)
	}
	s.finish()
	testkit.Eventually(t, "a place", func() bool { return caller.get("/x").Code == 200 })
}

// A server whose handlers all hang does not attract requests, although few are in flight there
// because it refuses them. Covers K18.
func TestBusyServerIsTriedLast(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newStuckHandler(t)
	c := d.serverConfig(t, orders, s, "orders")
	c.Streams = 2
	startConnected(t, c)
	caller := d.client(t, alice, true)
	occupyHandlers(t, d, s, 2)
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	began, refused := time.Now(), 0
	for range 60 {
		if caller.get("/x").Code == 503 {
			refused++
		}
	}
	if most := 2 + int(time.Since(began)/time.Second); refused > most {
		t.Errorf("%d of 60 were refused, want at most %d: one a second finds out whether the server is still busy", refused, most)
	}
}

// Passthrough connections and upgrades count like requests.
// Covers K18.
func TestStreamsAndUpgradesAreCounted(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newStuckHandler(t)
	c := d.serverConfig(t, orders, s, "orders")
	c.Streams = 2
	in := startConnected(t, c)
	addr, _ := servePassthrough(t, d, in, echo)
	occupyHandlers(t, d, s, 2)
	if res, err := newClient(t, addr, alice, true).http.Get("https://" + addr + "/x"); err == nil {
		res.Body.Close()
		t.Errorf("a connection end to end: %d", res.StatusCode)
	}
	if _, res := upgrade(t, d, alice, "/ws", "websocket"); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header["X-Mtls-Tunnel"] != nil {
		t.Errorf("an upgrade: %d %v", res.StatusCode, res.Header)
	}
	if most := s.peak.Load(); most != 2 {
		t.Errorf("%d handlers ran at one time", most)
	}
}

// A caller that cancels again and again, and leaves handlers behind that ignore their contexts,
// leaves places for others, in the server as at the gateway. Covers K21.
func TestCallerThatCancelsLeavesPlacesForOthers(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newStuckHandler(t)
	c := d.serverConfig(t, orders, newGuard(t).Handler(s), "orders")
	c.Streams = 20
	startConnected(t, c)
	answers := map[int]int{}
	for range 40 {
		sendAndCancel(t, d, []*client{d.client(t, bob, true)}, s, 1, answers)
	}
	if n := s.running.Load(); n != 10 || answers[503] != 30 {
		t.Errorf("%d handlers run for one caller, and it was answered %v", n, answers)
	}
	for range 20 {
		d.client(t, alice, true).get("/x").want(t, 200, "")
	}
	s.finish()
	testkit.Eventually(t, "a place", func() bool { return d.client(t, bob, true).get("/x").Code == 200 })
}
