package ports_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

var connections = flag.Int("connections", 40, "connections of each kind of attack on memory; 10000 is the limit of a port")

// anonymousStreams is the number of concurrent streams on a connection without a
// certificate.
const anonymousStreams = 10

// held is the memory of the process, in bytes.
type held struct{ heap, stacks, resident uint64 }

func heldNow() held {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h := held{heap: m.HeapAlloc, stacks: m.StackInuse}
	status, _ := os.ReadFile("/proc/self/status") // empty on a system without it
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseUint(strings.Fields(kib)[0], 10, 64)
			h.resident = n << 10
		}
	}
	return h
}

// mostHeld returns the maximum until the memory stops growing: the server is still reading
// the input.
func mostHeld() held {
	worst := held{}
	for steady, n := 0, 0; steady < 4 && n < 100; n++ {
		now := heldNow()
		if steady++; now.heap+now.stacks > worst.heap+worst.stacks+100<<10 {
			steady = 0
		}
		worst = held{max(worst.heap, now.heap), max(worst.stacks, now.stacks), max(worst.resident, now.resident)}
		time.Sleep(25 * time.Millisecond)
	}
	return worst
}

// withheld forwards what a client writes, up to a number of bytes, and nothing after.
type withheld struct {
	net.Conn
	left int
}

func (w *withheld) Write(b []byte) (int, error) {
	if n := min(w.left, len(b)); n > 0 {
		w.left -= n
		if n, err := w.Conn.Write(b[:n]); err != nil {
			return n, err
		}
	}
	return len(b), nil
}

// Covers H15, H9. The memory that a client without a certificate can make a port hold:
// docs/threat-model.md has the bound of each connection. This test measures it, including the
// memory of the clients.
func TestMemoryOfUnauthenticatedConnectionsIsBounded(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	big := make([]*x509.Certificate, 9) // with the leaf ten certificates, the limit
	for i := range big {
		big[i] = testpki.Make(nil, testpki.NewKey(), padded(15<<10)).Cert
	}
	impostor := &testpki.Pair{Cert: alice.Cert, Key: testpki.NewKey(), Chain: big}
	attacks := []struct {
		name  string
		bound int // KiB of heap and stacks a connection, including the client's memory
		act   func(c net.Conn)
	}{
		{"silence", 32, func(net.Conn) {}},
		{"half a hello", 32, func(c net.Conn) { io.WriteString(c, "\x16\x03\x01\x02\x00\x01") }},
		{"a large certificate without its end", 500, func(c net.Conn) {
			go tls.Client(&withheld{c, 120 << 10}, clientConfig(impostor)).Handshake()
		}},
		{"the certificate of another", 500, func(c net.Conn) { _ = tls.Client(c, clientConfig(impostor)).Handshake() }},
		{"idle, HTTP/1.1", 100, func(c net.Conn) { _ = tls.Client(c, clientConfig(nil, h1)).Handshake() }},
		{"half of large headers, HTTP/1.1", 250, func(c net.Conn) {
			own := tls.Client(c, clientConfig(nil, h1))
			fmt.Fprintf(own, "GET / HTTP/1.1\r\nHost: localhost\r\nA: %s", strings.Repeat("x", 64_000))
		}},
		// net/http holds 16 bytes for each byte of a head of short lines, and reads 8 KiB more than
		// the limit of 64 KiB: 1,152 KiB.
		{"half of many headers, HTTP/1.1", 1400, func(c net.Conn) {
			own := tls.Client(c, clientConfig(nil, h1))
			b := []byte("GET / HTTP/1.1\r\nHost: localhost\r\n")
			for i := 0; len(b) < 64_000; i++ {
				b = fmt.Appendf(b, "%x:\r\n", i)
			}
			own.Write(b)
		}},
		{"half of many headers, HTTP/2", 500, func(c net.Conn) {
			own := tls.Client(c, clientConfig(nil, h2only))
			f := &framer{own}
			f.preface()
			b := getHead("/")
			for i := range 1900 {
				b = append(b, named(fmt.Sprintf("%x", i), "")...)
			}
			f.frame(frameHeaders, 0, 1, b)
		}},
		{"half of large headers, HTTP/2", 250, func(c net.Conn) {
			own := tls.Client(c, clientConfig(nil, h2only))
			f := &framer{own}
			f.preface()
			f.frame(frameHeaders, 0, 1, append(getHead("/"), field(16_000)...))
			for range 3 {
				f.frame(frameContinuation, 0, 1, field(16_000))
			}
		}},
		{"the largest frame", 100, func(c net.Conn) {
			own := tls.Client(c, clientConfig(nil, h2only))
			f := &framer{own}
			f.preface()
			f.frame(0x77, 0, 0, make([]byte, 1<<20))
		}},
		{"a body and no window", 300, func(c net.Conn) {
			own := tls.Client(c, clientConfig(nil, h2only))
			f := &framer{own}
			f.preface(setting{settingInitialWindow, 0})
			f.request(1, "/", false)
			for range 20 {
				f.frame(frameData, 0, 1, make([]byte, 16<<10))
			}
		}},
		{"100 refusals and no window", 600, func(c net.Conn) {
			own := tls.Client(c, clientConfig(nil, h2only))
			f := &framer{own}
			f.preface(setting{settingInitialWindow, 0})
			for i := range uint32(100) {
				if i > anonymousStreams { // they are reset, so large headers would only take time
					f.request(2*i+1, "/", true)
					continue
				}
				f.frame(frameHeaders, flagEndStream, 2*i+1, append(getHead("/"), field(16_000)...))
				f.frame(frameContinuation, 0, 2*i+1, field(16_000))
				f.frame(frameContinuation, 0, 2*i+1, field(16_000))
				f.frame(frameContinuation, flagEndHeaders, 2*i+1, field(12_000))
			}
		}},
	}
	for _, a := range attacks {
		c, _ := config(t, ports.Request)
		c.OnHandshake = nil // the recorder would keep every certificate
		c.Limits.PerIP, c.Limits.Handshake, c.Limits.Headers = max(100, *connections/100), time.Minute, time.Minute
		p := newPort(t, c)
		stop := serve(t, refusing(), p)
		before := heldNow()
		var all []net.Conn
		var mu sync.Mutex
		var workers sync.WaitGroup
		next := make(chan int)
		for range 8 {
			workers.Go(func() {
				for i := range next {
					from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%100))}
					conn, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", p.Addr().String())
					if err != nil {
						t.Error(err)
						continue
					}
					mu.Lock()
					all = append(all, conn)
					mu.Unlock()
					conn.SetDeadline(time.Now().Add(patience)) // for an attack that waits
					a.act(conn)
				}
			})
		}
		for i := range *connections {
			next <- i
		}
		close(next)
		workers.Wait()
		worst := mostHeld()
		each := func(now, then uint64) float64 { return float64(int64(now-then)) / float64(*connections) / 1024 }
		heap, stacks := each(worst.heap, before.heap), each(worst.stacks, before.stacks)
		t.Logf("| %s | %d | %.0f | %.0f | %.0f | %.0f |", a.name, p.ConnCount(), heap, stacks, each(worst.resident, before.resident), float64(worst.resident)/(1<<20))
		if heap+stacks > float64(a.bound) {
			t.Errorf("%s: %.0f KiB a connection, want at most %d", a.name, heap+stacks, a.bound)
		}
		for _, conn := range all {
			conn.Close()
		}
		stop()
	}
}

// refusing refuses requests without a certificate, as the guard does.
func refusing() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "200")
		w.WriteHeader(http.StatusForbidden)
		w.Write(make([]byte, 200))
	})
}

// field returns a literal header field of HPACK with a value of size bytes.
func field(size int) []byte {
	b := []byte("\x00\x01a\x7f")
	for n := size - 127; ; n >>= 7 {
		if n < 128 {
			b = append(b, byte(n))
			break
		}
		b = append(b, byte(n)|128)
	}
	return append(b, strings.Repeat("x", size)...)
}

// padded returns a certificate template with an extension of size bytes.
func padded(size int) *x509.Certificate {
	return &x509.Certificate{
		Subject:         pkix.Name{CommonName: "padded"},
		ExtraExtensions: []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 99999, 2}, Value: make([]byte, size)}},
	}
}
