package reverse_test

import (
	"crypto/x509"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// relay is a network that can start to drop all packets. A connection that begins meanwhile is
// established afterwards, as TCP repeats its first packet.
type relay struct {
	addr      string
	blackhole atomic.Bool
}

func newRelay(tb testing.TB, to string) *relay {
	tb.Helper()
	l := listen(tb)
	r := &relay{addr: l.Addr().String()}
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			for r.blackhole.Load() {
				time.Sleep(time.Millisecond)
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			tb.Cleanup(func() { a.Close(); b.Close() })
			go r.copy(a, b)
			go r.copy(b, a)
		}
	}()
	return r
}

func (r *relay) copy(to, from net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if r.blackhole.Load() {
			discard(from)
			return // without closing
		}
		if err != nil {
			to.Close()
			return
		}
		to.Write(b[:n])
	}
}

// discard reads everything and writes nothing.
func discard(from net.Conn) { io.Copy(io.Discard, from) }

func TestSilentPeerIsDetected(t *testing.T) {
	t.Parallel()
	for tries := 1; !silentPeerIsDetected(t); tries++ {
		if tries == 10 {
			t.Fatal("a healthy tunnel does not stay open for four pings")
		}
	}
}

// silentPeerIsDetected returns false if the tunnel has ended before its peer was silent: a machine that
// is busy enough leaves a ping without an answer.
func silentPeerIsDetected(t *testing.T) bool {
	d := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) { c.Ping, c.PingTimeout = 50*time.Millisecond, time.Second }))
	shop := newTestHandler()
	sc := d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders")
	r := newRelay(t, sc.Addrs[0])
	sc.Addrs, sc.ServerName = []string{r.addr}, "localhost"
	sc.Ping, sc.PingTimeout = 50*time.Millisecond, time.Second
	s := startConnected(t, sc)
	c := d.client(t, alice, true)
	waiting := make(chan response, 1)
	go func() { waiting <- c.get("/wait") }()
	<-shop.began
	time.Sleep(200 * time.Millisecond) // several pings: a healthy tunnel stays open
	r.blackhole.Store(true)
	if d.events.count(reverse.Gone)+s.events.count(reverse.Gone) != 0 {
		r.blackhole.Store(false)
		close(shop.release)
		<-waiting
		s.stop()
		return false
	}
	began := time.Now()
	testkit.Eventually(t, "the gateway to see it", func() bool { return len(d.gateway.Tunnels()) == 0 })
	t.Logf("gone from the gateway after %v (ping 50 ms, timeout 1 s)", time.Since(began))
	if got := <-waiting; got.Code != 502 {
		t.Errorf("the request in flight: %d, want 502", got.Code)
	}
	testkit.Eventually(t, "the server to see it", func() bool { return s.events.count(reverse.Gone) > 0 })
	r.blackhole.Store(false)
	testkit.Eventually(t, "another tunnel", func() bool { return len(d.gateway.Tunnels()) == 1 })
	return true
}

// Covers K9.
func TestServersDoNotComeBackTogether(t *testing.T) {
	t.Parallel()
	servers := 40
	if *full {
		servers = 200
	}
	var mu sync.Mutex
	var arrivals []time.Time
	d := newDMZ(t, func(_ *reverse.GatewayConfig, _, registration *ports.Config) {
		registration.OnHandshake = func(ports.Handshake) {
			mu.Lock()
			defer mu.Unlock()
			arrivals = append(arrivals, time.Now())
		}
	})
	for range servers {
		c := d.serverConfig(t, orders, echo, "orders")
		c.BackoffMin, c.BackoffMax = 0, 0 // the defaults
		startConnected(t, c)
	}
	d.gateway.Recheck(t.Context()) // all of them are still authorized
	for _, conn := range d.gateway.Tunnels() {
		if conn.Draining {
			t.Fatal("a tunnel is draining")
		}
	}
	for tries := 1; ; tries++ { // a machine that stands still in between makes many come at once
		mu.Lock()
		arrivals = nil
		mu.Unlock()
		closeTunnels(d)
		testkit.Eventually(t, "all to come back", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(arrivals) >= servers && len(d.gateway.Tunnels()) == servers
		})
		mu.Lock()
		peak := 0
		for i := range arrivals {
			j := i
			for j < len(arrivals) && arrivals[j].Sub(arrivals[i]) < 100*time.Millisecond {
				j++
			}
			peak = max(peak, j-i)
		}
		t.Logf("%d servers came back over %v, at most %d within 100ms", servers, arrivals[len(arrivals)-1].Sub(arrivals[0]), peak)
		mu.Unlock()
		if peak <= servers*2/3 {
			return
		}
		if tries == 5 {
			t.Fatalf("%d of %d servers came back within 100ms: a stampede", peak, servers)
		}
	}
}

// closeTunnels closes every tunnel at once, as a restart of the gateway would.
func closeTunnels(d *dmz) {
	d.losing.Lock()
	defer d.losing.Unlock()
	c := d.registration.Config()
	old := c.Trust
	c.Trust = otherTrust
	d.registration.Reconfigure(c)
	c.Trust = old
	d.registration.Reconfigure(c)
}

var otherTrust = func() *trust.Verifier {
	v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{userCA.Cert}})
	if err != nil {
		panic(err)
	}
	return v
}()
