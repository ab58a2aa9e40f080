package ports_test

import (
	"crypto/tls"
	"flag"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

var soak = flag.Bool("soak", false, "fail 100,000 handshakes instead of 2,000")

// traces counts the resources of the process: goroutines, descriptors, heap.
type traces struct {
	goroutines, descriptors int
	heap                    uint64
}

func tracesNow() traces {
	open, _ := os.ReadDir("/proc/self/fd") // empty on a system without it: nothing is compared then
	return traces{runtime.NumGoroutine(), len(open), heapNow()}
}

// back waits until the process has no more resources than before.
func (before traces) back(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before.goroutines+5 })
	testkit.Eventually(t, "the descriptors are closed", func() bool {
		open, _ := os.ReadDir("/proc/self/fd")
		return len(open) <= before.descriptors+5
	})
	testkit.Eventually(t, "the memory is freed", func() bool { return int64(heapNow())-int64(before.heap) < 2<<20 })
}

// counting counts handshakes by reason and keeps nothing else.
type counting struct {
	mu  sync.Mutex
	all map[reason.Reason]int
}

func (c *counting) count(h ports.Handshake) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[h.Reason]++
}

func (c *counting) of(r reason.Reason) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[r]
}

// Covers H1.
func TestManySilentClientsEndAtTheirDeadline(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	const clients = 600
	c, _ := config(t, ports.Require)
	counts := &counting{all: map[reason.Reason]int{}}
	c.OnHandshake = counts.count
	c.Limits.PerIP, c.Limits.Handshake = 2*clients, time.Second
	p := serving(t, c)
	admitted(t, p, clientConfig(alice)).Close()
	testkit.Eventually(t, "the first connection ends", func() bool { return p.ConnCount() == 0 })
	hello := &recorded{}
	_ = tls.Client(hello, clientConfig(alice)).Handshake()
	before := tracesNow()
	var all []net.Conn
	for i := range clients {
		conn, err := net.Dial("tcp", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
		switch i % 3 {
		case 0: // sends nothing
		case 1:
			io.WriteString(conn, "\x16\x03\x01\x02\x00\x01")
		case 2:
			conn.Write(hello.sent)
		}
	}
	if body, own, err := dialAndGet(t, p, clientConfig(alice)); err != nil { // among them
		t.Errorf("a client among the silent ones got %q, %v", body, err)
	} else {
		own.Close()
	}
	for _, conn := range all {
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("a silent client is still there")
		}
		conn.Close()
	}
	testkit.Eventually(t, "every slot is free", func() bool { return p.ConnCount() == 0 })
	testkit.Eventually(t, "every handshake is reported", func() bool { return counts.of(reason.Timeout) == clients })
	before.back(t)
}

// Many times more clients begin handshakes than Limits.Handshakes. The requests of an
// established connection go on, and no more handshakes compute than allowed.
// Covers H3.
func TestHandshakeFloodLeavesEstablishedConnectionsAlone(t *testing.T) {
	t.Parallel()
	const most = 2
	var inside, worst, handshakes atomic.Int64
	c, _ := config(t, ports.Require)
	c.OnHandshake = func(ports.Handshake) { handshakes.Add(1) }
	c.Limits.Handshakes, c.Limits.Handshake, c.Limits.PerIP = most, patience, 1000
	c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { // called inside the gate
		n := inside.Add(1)
		defer inside.Add(-1)
		for old := worst.Load(); n > old && !worst.CompareAndSwap(old, n); old = worst.Load() {
		}
		time.Sleep(time.Millisecond) // long enough for a third one to be seen
		return &server, nil
	}
	p := serving(t, c)
	established := admitted(t, p, clientConfig(bob))
	stop := make(chan struct{})
	var flood sync.WaitGroup
	for range 10 * most {
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if own, err := dial(t, p, clientConfig(nil, tls12)); err == nil {
					t.Error("served")
				} else {
					own.Close()
				}
			}
		})
	}
	testkit.Eventually(t, "the flood begins", func() bool { return handshakes.Load() > 10*most })
	start := handshakes.Load()
	for range 50 {
		if body, _, err := established.get("/"); err != nil || body != "require bob HTTP/2.0" {
			t.Errorf("the established connection got %q, %v; want the answer for bob", body, err)
			break
		}
	}
	admitted(t, p, clientConfig(alice)) // and a new client is served
	testkit.Eventually(t, "the flood goes on", func() bool { return handshakes.Load() > start })
	close(stop)
	flood.Wait()
	if n := worst.Load(); n > most || n == 0 {
		t.Errorf("%d handshakes computed at one time, at most %d are allowed", n, most)
	}
}

// Handshakes that fail in every way leave nothing behind.
// Covers H12.
func TestFailedHandshakesLeaveNothingBehind(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	times := 2000
	if *soak {
		times = 100_000
	}
	c, _ := config(t, ports.Require)
	counts := &counting{all: map[reason.Reason]int{}}
	c.OnHandshake = counts.count
	c.Limits.PerIP = times // clients close faster than the port notices
	p := serving(t, c)
	admitted(t, p, clientConfig(alice)).Close()
	testkit.Eventually(t, "the first connection ends", func() bool { return p.ConnCount() == 0 })
	old := &recorded{}
	_ = tls.Client(old, clientConfig(nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })).Handshake()
	untrusted, stolen := clientConfig(otherCA.Leaf("alice")), clientConfig(&testpki.Pair{Cert: alice.Cert, Key: testpki.NewKey()})
	first := counts.of("") // the admitted handshake
	before := tracesNow()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := next.Add(1); i <= int64(times); i = next.Add(1) {
				conn, err := net.Dial("tcp", p.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				conn.(*net.TCPConn).SetLinger(0) // leaves no local TCP port in TIME_WAIT
				switch way := i % 100; {
				case way == 0: // an untrusted certificate
					fails(t, conn, untrusted)
				case way == 1: // another key
					fails(t, conn, stolen)
				case way == 2: // no certificate
					fails(t, conn, clientConfig(nil))
				case way < 30: // closed within the hello
					io.WriteString(conn, "\x16\x03\x01\x02\x00\x01")
				case way < 60: // a TLS version that is not served
					conn.Write(old.sent)
					conn.Read(make([]byte, 1))
				case way < 90: // no TLS at all
					io.WriteString(conn, "\x00\x00\x00\x00\x00\x00")
					conn.Read(make([]byte, 1))
				} // else sends nothing
				conn.Close()
			}
		})
	}
	workers.Wait()
	testkit.Eventually(t, "every slot is free", func() bool { return p.ConnCount() == 0 })
	for why, want := range map[reason.Reason]int{
		reason.UnknownAuthority: times / 100, reason.BadCertificate: times / 100, reason.NoCertificate: times / 100, "": first + times - 3*(times/100),
	} {
		if got := counts.of(why); got != want {
			t.Errorf("%q %d times, want %d", why, got, want)
		}
	}
	before.back(t)
	admitted(t, p, clientConfig(alice))
}

// fails makes a handshake over conn, which must fail.
func fails(t *testing.T, conn net.Conn, c *tls.Config) {
	conn.SetDeadline(time.Now().Add(patience))
	own := tls.Client(conn, c)
	if own.Handshake() == nil {
		if _, err := own.Read(make([]byte, 1)); err == nil { // in TLS 1.3 the refusal arrives here
			t.Error("served")
		}
	}
}
