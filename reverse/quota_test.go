package reverse_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// stuck is a handler that does not look at its context.
type stuck struct {
	running, most atomic.Int64
	release       chan struct{}
}

func newStuck(tb testing.TB) *stuck {
	s := &stuck{release: make(chan struct{})}
	tb.Cleanup(s.free)
	return s
}

func (s *stuck) free() {
	select {
	case <-s.release:
	default:
		close(s.release)
	}
}

func (s *stuck) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/x" {
		echo.ServeHTTP(w, r)
		return
	}
	n := s.running.Add(1)
	defer s.running.Add(-1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	<-s.release
	w.WriteHeader(http.StatusNoContent)
}

// wave sends n requests, waits until each of them runs or is answered, cancels those
// that run, and waits until the gateway has none under way. It counts the answers.
func wave(tb testing.TB, d *dmz, callers []*client, s *stuck, n int, answers map[int]int) {
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
	eventually(tb, "the places to be given back", func() bool {
		for _, c := range d.gateway.Tunnels() {
			if c.InFlight > 0 {
				return false
			}
		}
		return true
	})
}

// fill leaves n handlers behind, each of another caller. The server's handler must be one
// without a guard.
func fill(tb testing.TB, d *dmz, s *stuck, n int) {
	tb.Helper()
	for range n {
		wave(tb, d, []*client{d.client(tb, userCA.Leaf("somebody"), true)}, s, 1, map[int]int{})
	}
}

// Callers who do not wait for a handler that hangs start no more of them than the
// limit, and the tunnels stay. Covers K18.
func TestHandlersOfCallersThatLeftAreCounted(t *testing.T) {
	t.Parallel()
	d := newDMZ(t, func(g *reverse.GatewayConfig, external, _ *ports.Config) {
		external.Limits.Handshake, g.Ping = patience, time.Minute // a busy machine is no fault
	})
	s := newStuck(t)
	c := d.serverConfig(t, orders, s, "orders")
	c.Conns, c.Ping = 2, time.Minute
	in := connected(t, c)
	eventually(t, "two tunnels", func() bool { return len(d.gateway.Tunnels()) == 2 })
	var callers []*client
	for range 6 {
		callers = append(callers, d.client(t, userCA.Leaf("somebody"), true))
	}
	for _, c := range callers {
		c.get("/x").want(t, 200, "")
	}
	answers := map[int]int{}
	for range 6 {
		wave(t, d, callers, s, 149, answers)
	}
	if most := s.most.Load(); most > 500 || most < 400 { // six callers leave a seventh of the places free
		t.Errorf("%d handlers ran at one time, want at most 500, and nearly 430", most)
	}
	if answers[503] < 894-500 || len(answers) != 1 {
		t.Errorf("answers by status: %v, want some 470 of 503 and no other", answers)
	}
	if n := in.events.count(reverse.Unavailable); n != answers[503] {
		t.Errorf("%d events of requests that no handler took, want %d", n, answers[503])
	}
	if n := d.events.count(reverse.Gone) + d.events.count(reverse.Failed); n != 0 || len(d.gateway.Tunnels()) != 2 {
		t.Errorf("%d tunnels or requests broke", n)
	}
	s.free()
	eventually(t, "the handlers to return", func() bool { return s.running.Load() == 0 })
	eventually(t, "a place", func() bool { return callers[0].get("/x").Code == 200 })
}

// Requests that are cancelled as soon as they are sent do not fill net/http's queue of
// handlers, which would end the tunnel with ENHANCE_YOUR_CALM. Covers K18.
func TestRapidResetsBesideStuckHandlersEndNoTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newStuck(t)
	c := d.serverConfig(t, orders, s, "orders")
	c.Streams = 4
	connected(t, c)
	caller := d.client(t, alice, true)
	fill(t, d, s, 4)
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			for i := range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*100*time.Microsecond)
				if res, err := caller.http.Do(caller.request("GET", "/stuck", nil).WithContext(ctx)); err == nil {
					res.Body.Close()
				}
				cancel()
			}
		})
	}
	all.Wait()
	if most := s.most.Load(); most > 4 {
		t.Errorf("%d handlers ran at one time, want at most 4", most)
	}
	if n := d.events.count(reverse.Gone); n != 0 {
		t.Errorf("%d tunnels broke", n)
	}
	s.free()
	eventually(t, "a place", func() bool { return caller.get("/x").Code == 200 })
}

// The handlers of a tunnel that has ended still count for the server. Covers K18.
func TestHandlersOfTunnelsThatEndedAreCounted(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newStuck(t)
	c := d.serverConfig(t, orders, s, "orders")
	c.Streams = 3
	in := connected(t, c)
	caller := d.client(t, alice, true)
	fill(t, d, s, 3)
	in.trustGateways(t, believing(t, gatewayCA, gate))
	eventually(t, "the tunnel to end", func() bool { return len(d.gateway.Tunnels()) == 0 })
	in.trustGateways(t, c.Gateways.Trust)
	eventually(t, "a new tunnel", func() bool { return in.events.count(reverse.Registered) == 2 })
	if got := caller.get("/stuck"); got.Code != 503 {
		t.Errorf("answered %d", got.Code)
	}
	if most := s.most.Load(); most != 3 {
		t.Errorf("%d handlers ran at one time", most)
	}
	s.free()
	eventually(t, "a place", func() bool { return caller.get("/x").Code == 200 })
}

// A server whose handlers all hang does not draw the requests of one that is well:
// little is under way there because everything is refused. Covers K18.
func TestBusyServerIsTriedLast(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newStuck(t)
	c := d.serverConfig(t, orders, s, "orders")
	c.Streams = 2
	connected(t, c)
	caller := d.client(t, alice, true)
	fill(t, d, s, 2)
	connected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	began, refused := time.Now(), 0
	for range 200 {
		if caller.get("/x").Code == 503 {
			refused++
		}
	}
	if most := 2 + int(time.Since(began)/time.Second); refused > most {
		t.Errorf("%d of 200 were refused, want at most %d: one a second finds out whether the server is still busy", refused, most)
	}
}

// Connections that are carried end to end, and upgrades, are counted like requests.
// Covers K18.
func TestStreamsAndUpgradesAreCounted(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newStuck(t)
	c := d.serverConfig(t, orders, s, "orders")
	c.Streams = 2
	in := connected(t, c)
	addr, _ := through(t, d, in, echo)
	fill(t, d, s, 2)
	if res, err := newClient(t, addr, alice, true).http.Get("https://" + addr + "/x"); err == nil {
		res.Body.Close()
		t.Errorf("a connection end to end: %d", res.StatusCode)
	}
	if _, res := switched(t, d, alice, "/ws", "websocket"); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header["X-Mtls-Tunnel"] != nil {
		t.Errorf("an upgrade: %d %v", res.StatusCode, res.Header)
	}
	if most := s.most.Load(); most != 2 {
		t.Errorf("%d handlers ran at one time", most)
	}
}

// A caller that breaks off again and again, and leaves handlers behind that do not look
// at their contexts, leaves places for others: inside as at the gateway. Covers K21.
func TestCallerWhoLeavesHandlersBehindLeavesPlacesForOthers(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newStuck(t)
	c := d.serverConfig(t, orders, newGuard(t).Handler(s), "orders")
	c.Streams = 20
	connected(t, c)
	answers := map[int]int{}
	for range 40 {
		wave(t, d, []*client{d.client(t, bob, true)}, s, 1, answers)
	}
	if n := s.running.Load(); n != 10 || answers[503] != 30 {
		t.Errorf("%d handlers run for one caller, and it was answered %v", n, answers)
	}
	for range 20 {
		d.client(t, alice, true).get("/x").want(t, 200, "")
	}
	s.free()
	eventually(t, "a place", func() bool { return d.client(t, bob, true).get("/x").Code == 200 })
}
