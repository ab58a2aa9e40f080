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

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

var soak = flag.Bool("soak", false, "fail 100,000 handshakes instead of 2,000")

// traces is what a process holds: goroutines, descriptors, heap.
type traces struct {
	goroutines, descriptors int
	heap                    uint64
}

func tracesNow() traces {
	open, _ := os.ReadDir("/proc/self/fd") // empty where there is none: nothing is compared then
	return traces{runtime.NumGoroutine(), len(open), heapNow()}
}

// back waits until the process holds what it held before.
func (before traces) back(t *testing.T) {
	t.Helper()
	eventually(t, "the goroutines", func() bool { return runtime.NumGoroutine() <= before.goroutines+5 })
	eventually(t, "the descriptors", func() bool {
		open, _ := os.ReadDir("/proc/self/fd")
		return len(open) <= before.descriptors+5
	})
	eventually(t, "the memory", func() bool { return int64(heapNow())-int64(before.heap) < 2<<20 })
}

// counting counts handshakes by reason and keeps nothing else of them.
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
	const clients = 600
	c, _ := config(t, ports.Require)
	told := &counting{all: map[reason.Reason]int{}}
	c.OnHandshake = told.count
	c.Limits.PerIP, c.Limits.Handshake = 2*clients, time.Second
	p := serving(t, c)
	admitted(t, p, clientConfig(alice)).Close()
	eventually(t, "the first to go", func() bool { return p.ConnCount() == 0 })
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
		case 0: // says nothing
		case 1:
			io.WriteString(conn, "\x16\x03\x01\x02\x00\x01")
		case 2:
			conn.Write(hello.sent)
		}
	}
	if body, own, err := ask(t, p, clientConfig(alice)); err != nil { // among them all
		t.Errorf("%q, %v", body, err)
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
	eventually(t, "the slots", func() bool { return p.ConnCount() == 0 })
	eventually(t, "the events", func() bool { return told.of(reason.Timeout) == clients })
	before.back(t)
}

// Many times more clients shake hands than may compute at one time. An established
// connection's requests go on, and no more compute than may.
// Covers H3.
func TestHandshakeFloodLeavesEstablishedConnectionsAlone(t *testing.T) {
	const most = 2
	var inside, worst, shaken atomic.Int64
	c, _ := config(t, ports.Require)
	c.OnHandshake = func(ports.Handshake) { shaken.Add(1) }
	c.Limits.Handshakes, c.Limits.Handshake, c.Limits.PerIP = most, patience, 1000
	c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { // asked inside the gate
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
	eventually(t, "the flood", func() bool { return shaken.Load() > 10*most })
	start := shaken.Load()
	for range 50 {
		if body, _, err := established.get("/"); err != nil || body != "require bob HTTP/2.0" {
			t.Errorf("%q, %v", body, err)
			break
		}
	}
	admitted(t, p, clientConfig(alice)) // and a new one gets its turn
	eventually(t, "the flood to go on", func() bool { return shaken.Load() > start })
	close(stop)
	flood.Wait()
	if n := worst.Load(); n > most || n == 0 {
		t.Errorf("%d computed at one time, at most %d may", n, most)
	}
}

// Handshakes that fail in every way leave nothing behind.
// Covers H12.
func TestFailedHandshakesLeaveNothingBehind(t *testing.T) {
	times := 2000
	if *soak {
		times = 100_000
	}
	c, _ := config(t, ports.Require)
	told := &counting{all: map[reason.Reason]int{}}
	c.OnHandshake = told.count
	c.Limits.PerIP = times // they go faster than they are seen to go
	p := serving(t, c)
	admitted(t, p, clientConfig(alice)).Close()
	eventually(t, "the first to go", func() bool { return p.ConnCount() == 0 })
	old := &recorded{}
	_ = tls.Client(old, clientConfig(nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })).Handshake()
	stranger, stolen := clientConfig(otherCA.Leaf("alice")), clientConfig(&testpki.Pair{Cert: alice.Cert, Key: testpki.NewKey()})
	first := told.of("") // the one that was admitted
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
				conn.(*net.TCPConn).SetLinger(0) // keeps no port of ours waiting
				switch way := i % 100; {
				case way == 0: // an untrusted certificate
					fails(t, conn, stranger)
				case way == 1: // the key is another
					fails(t, conn, stolen)
				case way == 2: // no certificate
					fails(t, conn, clientConfig(nil))
				case way < 30: // gone in the midst of the hello
					io.WriteString(conn, "\x16\x03\x01\x02\x00\x01")
				case way < 60: // no TLS that is spoken here
					conn.Write(old.sent)
					conn.Read(make([]byte, 1))
				case way < 90: // no TLS at all
					io.WriteString(conn, "\x00\x00\x00\x00\x00\x00")
					conn.Read(make([]byte, 1))
				} // else says nothing
				conn.Close()
			}
		})
	}
	workers.Wait()
	eventually(t, "the slots", func() bool { return p.ConnCount() == 0 })
	for word, want := range map[reason.Reason]int{
		reason.UnknownAuthority: times / 100, reason.BadCertificate: times / 100, reason.NoCertificate: times / 100, "": first + times - 3*(times/100),
	} {
		if got := told.of(word); got != want {
			t.Errorf("%q %d times, want %d", word, got, want)
		}
	}
	before.back(t)
	admitted(t, p, clientConfig(alice))
}

// fails shakes hands over conn, which must not end well.
func fails(t *testing.T, conn net.Conn, c *tls.Config) {
	conn.SetDeadline(time.Now().Add(patience))
	own := tls.Client(conn, c)
	if own.Handshake() == nil {
		if _, err := own.Read(make([]byte, 1)); err == nil { // in TLS 1.3 the verdict comes here
			t.Error("served")
		}
	}
}
