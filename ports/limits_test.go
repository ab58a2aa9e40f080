package ports_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// silent connects, sends text and nothing else.
func silent(t *testing.T, p *ports.Port, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	io.WriteString(c, text)
	return c
}

// afterHello returns the connection of a client that stalls after its ClientHello.
func afterHello(t *testing.T, p *ports.Port) net.Conn {
	t.Helper()
	c := silent(t, p, "")
	hello := &recorded{}
	_ = tls.Client(hello, clientConfig(alice)).Handshake()
	if _, err := c.Write(hello.sent); err != nil {
		t.Fatal(err)
	}
	return c
}

// recorded keeps the written bytes, and returns io.EOF from Read.
type recorded struct {
	net.Conn
	sent []byte
}

func (r *recorded) Write(b []byte) (int, error) { r.sent = append(r.sent, b...); return len(b), nil }
func (r *recorded) Read([]byte) (int, error)    { return 0, io.EOF }
func (r *recorded) Close() error                { return nil }

// Covers H1, H12.
func TestSilentClientsLeaveNothingBehind(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	c, e := config(t, ports.Require)
	c.Limits.Handshake = patience
	p := serving(t, c)
	admitted(t, p, clientConfig(alice)).Close() // the port has all its goroutines now
	testkit.Eventually(t, "the first connection ends", func() bool { return p.ConnCount() == 0 })
	before := runtime.NumGoroutine()
	short := c
	short.Limits.Handshake = 300 * time.Millisecond
	reconfigure(t, p, short)
	start := time.Now()
	var clients []net.Conn
	for range 20 {
		clients = append(clients, silent(t, p, ""), silent(t, p, "\x16\x03\x01\x02\x00\x01"), afterHello(t, p))
	}
	for _, c := range clients {
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("a silent client is still there")
		}
	}
	if d := time.Since(start); d > patience/2 { // on a busy machine
		t.Errorf("the connections ended after %v", d)
	}
	for _, c := range clients {
		c.Close()
	}
	testkit.Eventually(t, "every slot is free", func() bool { return p.ConnCount() == 0 })
	testkit.Eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+2 })
	testkit.Eventually(t, "every handshake is reported", func() bool { return e.count(reason.Timeout) == 60 })
	reconfigure(t, p, c)
	admitted(t, p, clientConfig(alice))
}

// A client that sends its hello byte by byte has no more time than one that sends nothing.
// Covers H1.
func TestTricklingClientEndsAtTheDeadline(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		c, e := config(t, ports.Require)
		c.Limits.Handshake = 300 * time.Millisecond
		conn := connect(t, onPipes(t, c, http.HandlerFunc(echoCaller)))
		start := time.Now()
		io.WriteString(conn, "\x16\x03\x01\x02\x00")
		for time.Since(start) < patience {
			if _, err := conn.Write([]byte{1}); err != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		within(t, "the handshake", time.Since(start), c.Limits.Handshake, c.Limits.Handshake+10*time.Millisecond)
		if h := e.of(t, conn.LocalAddr()); h.Reason != reason.Timeout {
			t.Errorf("event %q, %v", h.Reason, h.Err)
		}
	})
}

// Covers H2.
func TestStalledHandshakesDelayNoOther(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	c.Limits.Handshakes = 2
	c.Limits.Handshake = time.Minute
	p := serving(t, c)
	for range 20 { // many times the gate
		silent(t, p, "")
		silent(t, p, "\x16\x03\x01")
		afterHello(t, p)
	}
	testkit.Eventually(t, "the stalled clients are connected", func() bool { return p.ConnCount() == 60 })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			start := time.Now()
			if body, _, err := dialAndGet(t, p, clientConfig(alice)); err != nil || body != "require alice HTTP/2.0" {
				t.Errorf("got %q, %v; want the answer for alice", body, err)
			}
			if d := time.Since(start); d > c.Limits.Handshake/2 {
				t.Errorf("it took %v", d)
			}
		})
	}
	all.Wait()
	if p.ConnCount() < 60 {
		t.Error("the stalled clients are gone: this test checks nothing")
	}
}

// With a full gate, the next handshake waits for a slot, and ends at its deadline at the
// latest.
// Covers H3.
func TestHandshakeWaitsForAPlaceUntilItsDeadline(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		c, e := config(t, ports.Require)
		c.Limits.Handshakes = 1
		c.Limits.Handshake = 500 * time.Millisecond
		inside, leave := make(chan struct{}, 10), make(chan struct{})
		c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			inside <- struct{}{}
			<-leave
			return &server, nil
		}
		p := onPipes(t, c, http.HandlerFunc(echoCaller))
		first := make(chan error, 1)
		go func() { _, _, err := dialAndGet(t, p, clientConfig(alice)); first <- err }()
		<-inside
		start := time.Now()
		if _, _, err := dialAndGet(t, p, clientConfig(alice)); err == nil {
			t.Error("two handshakes at one time")
		}
		within(t, "the waiting handshake", time.Since(start), c.Limits.Handshake, c.Limits.Handshake+10*time.Millisecond)
		testkit.Eventually(t, "the waiting handshake times out", func() bool { return e.count(reason.Timeout) >= 1 })
		close(leave)
		<-first // served, or timed out
		admitted(t, p, clientConfig(alice))
	})
}

// Covers H4.
func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require)
	c.Limits.PerIP = 2
	p := serving(t, c)
	first, second := admitted(t, p, clientConfig(alice)), admitted(t, p, clientConfig(alice))
	own, err := dial(t, p, clientConfig(alice))
	if err == nil {
		t.Fatal("a third connection")
	}
	if h := e.of(t, own.local); h.Reason != reason.Limit || h.Err == nil || h.Port != "require" {
		t.Errorf("event %+v", h)
	}
	first.Close()
	testkit.Eventually(t, "the slot is free", func() bool { return p.ConnCount() == 1 })
	admitted(t, p, clientConfig(alice))
	if !second.open() {
		t.Error("another connection was closed")
	}
	// Refused handshakes give their slots back too.
	second.Close()
	for range 5 {
		testkit.Eventually(t, "the slot of a refused client is free", func() bool {
			_, _, err := dialAndGet(t, p, clientConfig(nil))
			return err != nil && e.count(reason.NoCertificate) > 0
		})
	}
	testkit.Eventually(t, "every slot is free", func() bool { return p.ConnCount() == 1 })
	admitted(t, p, clientConfig(alice))
}

// Covers H4.
func TestConnectionsBeyondTheLimitWait(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	c.Limits.Connections = 2
	p := serving(t, c)
	first := admitted(t, p, clientConfig(alice))
	admitted(t, p, clientConfig(alice))
	served := make(chan error, 3)
	for range 3 {
		go func() {
			_, own, err := dialAndGet(t, p, clientConfig(alice))
			if err == nil {
				own.Close() // gives its slot to the next one
			}
			served <- err
		}()
	}
	select {
	case err := <-served:
		t.Fatalf("the connection did not wait: %v", err)
	case <-time.After(150 * time.Millisecond):
	}
	if n := p.ConnCount(); n != 2 {
		t.Errorf("%d connections, at most 2 are allowed", n)
	}
	first.Close()
	for range 3 {
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// Covers H4.
func TestReconfigureRaisesTheConnectionLimit(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	c.Limits.Connections = 1
	p := serving(t, c)
	admitted(t, p, clientConfig(alice))
	served := make(chan error, 1)
	go func() { _, _, err := dialAndGet(t, p, clientConfig(alice)); served <- err }()
	c.Limits.Connections = 2
	c.Limits.Drain = time.Second
	reconfigure(t, p, c)
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Covers H6.
func TestHeaderBytesAreBounded(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	p := serving(t, c)
	status := func(o tlsOption, bytes int) int {
		own := admitted(t, p, clientConfig(alice, o))
		r, _ := http.NewRequest("GET", "https://localhost/", nil)
		r.Header.Set("X-Long", strings.Repeat("x", bytes))
		answer, err := own.http.Do(r)
		if err != nil {
			return 0 // HTTP/2: the client knows the limit
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	h2 := func(*tls.Config) {}
	for _, bytes := range []int{65 << 10, 70 << 10, 200 << 10} {
		if got := status(h1, bytes); got != 431 {
			t.Errorf("HTTP/1.1, %d bytes: %d, want 431", bytes, got)
		}
	}
	if got := status(h2, 65<<10); got == 200 {
		t.Error("HTTP/2, 65 KiB: served")
	}
	for _, o := range []tlsOption{h1, h2} {
		if got := status(o, 63<<10); got != 200 {
			t.Errorf("63 KiB: %d, want 200", got)
		}
	}
	c.Limits.HeaderBytes = 4096
	reconfigure(t, p, c)
	for _, o := range []tlsOption{h1, h2} {
		if got := status(o, 1024); got != 200 {
			t.Errorf("1 KiB of 4 KiB: %d, want 200", got)
		}
		if got := status(o, 4097); got == 200 {
			t.Error("4097 bytes of 4096: served")
		}
	}
}

// Covers H5.
func TestSlowHeadersAndIdleConnectionsEnd(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		c, _ := config(t, ports.Require)
		c.Limits.Headers, c.Limits.Idle = 200*time.Millisecond, 200*time.Millisecond
		p := onPipes(t, c, http.HandlerFunc(echoCaller))
		slow, err := dial(t, p, clientConfig(alice, h1))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(slow, "GET / HTTP/1.1\r\nHost: localhost\r\n")
		slow.SetReadDeadline(time.Now().Add(patience))
		if answer, err := io.ReadAll(slow); err != nil || strings.Contains(string(answer), "200 OK") {
			t.Errorf("slow headers got %q, %v; want the end of the connection", answer, err)
		}
		for _, o := range []tlsOption{h1, func(*tls.Config) {}} {
			if d := admitted(t, p, clientConfig(alice, o)).ends(t); d > 5*time.Second {
				t.Errorf("idle for %v", d)
			}
		}
	})
}

// Covers H12.
func TestRefusedHandshakesLeakNothing(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	c, e := config(t, ports.Require)
	p := serving(t, c)
	admitted(t, p, clientConfig(alice)).Close()
	testkit.Eventually(t, "the first connection ends", func() bool { return p.ConnCount() == 0 })
	before := runtime.NumGoroutine()
	for range 30 {
		if own, err := dial(t, p, clientConfig(nil, tls12)); err == nil {
			t.Error("served")
		} else {
			own.Close()
		}
	}
	testkit.Eventually(t, "every handshake is reported", func() bool { return e.count(reason.NoCertificate) == 30 })
	testkit.Eventually(t, "every slot is free", func() bool { return p.ConnCount() == 0 })
	testkit.Eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// Covers H14.
func TestPanicEndsOneHandshake(t *testing.T) {
	for name, change := range map[string]func(c *ports.Config, panics func() bool){
		"OnHandshake": func(c *ports.Config, panics func() bool) {
			record := c.OnHandshake
			c.OnHandshake = func(h ports.Handshake) {
				record(h)
				if panics() {
					panic("OnHandshake")
				}
			}
		},
		"Certificate": func(c *ports.Config, panics func() bool) {
			c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				if panics() {
					panic("Certificate")
				}
				return &server, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			quiet(t)
			var mu sync.Mutex
			on := true
			c, e := config(t, ports.Require)
			c.Limits.Handshakes = 1 // the next connection needs its place
			change(&c, func() bool { mu.Lock(); defer mu.Unlock(); return on })
			c.Limits.PerIP = 1
			p := serving(t, c)
			for range 3 {
				body, own, err := dialAndGet(t, p, clientConfig(alice))
				if err == nil {
					t.Fatalf("served: %q", body)
				}
				e.of(t, own.local)
				own.Close() // else the port's close_notify would wait for the client
				testkit.Eventually(t, "its slot is free", func() bool { return p.ConnCount() == 0 })
			}
			mu.Lock()
			on = false
			mu.Unlock()
			first := admitted(t, p, clientConfig(alice))
			// A connection beyond the limit is reported on the goroutine that accepts.
			mu.Lock()
			on = true
			mu.Unlock()
			if _, err := dial(t, p, clientConfig(alice)); err == nil {
				t.Error("a second connection")
			}
			mu.Lock()
			on = false
			mu.Unlock()
			first.Close()
			testkit.Eventually(t, "the slot is free", func() bool { return p.ConnCount() == 0 })
			admitted(t, p, clientConfig(alice))
		})
	}
}

func TestListenerCloseEndsHandshakesAndLeavesTheRest(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	c.Limits.Handshake = time.Minute
	p := newPort(t, c)
	l, err := p.Listen(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	done, err2 := dial(t, p, clientConfig(alice))
	if err2 != nil {
		t.Fatal(err2)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	stalled := silent(t, p, "")
	testkit.Eventually(t, "the stalled client is connected", func() bool { return p.ConnCount() == 2 })
	l.Close()
	l.Close()
	stalled.SetReadDeadline(time.Now().Add(patience))
	if _, err := stalled.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the stalled handshake: %v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("accepted after Close")
	}
	go accepted.Write([]byte("still here"))
	done.SetReadDeadline(time.Now().Add(patience))
	if got, err := io.ReadAll(io.LimitReader(done, 10)); err != nil || string(got) != "still here" {
		t.Errorf("the accepted connection: %q, %v", got, err)
	}
	again, err := p.Listen(context.Background())
	if err != nil {
		t.Fatalf("listening again: %v", err)
	}
	again.Close()
}
