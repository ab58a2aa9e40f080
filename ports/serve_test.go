package ports_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

func TestServeOpensAllPortsOrNone(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a, _ := config(t, ports.None)
	b, _ := config(t, ports.Require)
	a.Addr, b.Addr = testkit.FreeAddress(t), taken.Addr().String() // no other test listens on the first afterwards
	first, second := newPort(t, a), newPort(t, b)
	s := &ports.Server{Handler: http.HandlerFunc(echoCaller), Ports: []*ports.Port{first, second}, Ready: func() { t.Error("ready") }}
	if err := s.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "require") {
		t.Errorf("Serve: %v", err)
	}
	if c, err := net.Dial("tcp", first.Addr().String()); err == nil {
		c.Close()
		t.Error("the first port is open")
	}
	if err := ports.Serve(t.Context(), nil, first); err == nil {
		t.Error("served without a handler")
	}
	if err := ports.Serve(t.Context(), http.HandlerFunc(echoCaller)); err == nil {
		t.Error("served without ports")
	}
}

func TestServeManyPorts(t *testing.T) {
	t.Parallel()
	var all []*ports.Port
	for _, mode := range []ports.ClientAuth{ports.None, ports.Request, ports.Require} {
		c, _ := config(t, mode)
		c.Addr = testkit.FreeAddress(t) // no other test listens there afterwards
		all = append(all, newPort(t, c))
	}
	stop := serve(t, http.HandlerFunc(echoCaller), all...)
	for i, want := range []string{"none no-certificate HTTP/2.0", "request alice HTTP/2.0", "require alice HTTP/2.0"} {
		if body, own, err := dialAndGet(t, all[i], clientConfig(alice)); err != nil || body != want {
			t.Errorf("%q, %v; want %q", body, err, want)
		} else {
			own.Close()
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, p := range all {
		if c, err := net.Dial("tcp", p.Addr().String()); err == nil {
			c.Close()
			t.Errorf("%s is still open", p.Name())
		}
		if n := p.ConnCount(); n != 0 {
			t.Errorf("%s has %d connections", p.Name(), n)
		}
	}
}

// Covers I12.
func TestDrainFinishesRequestsUnderWay(t *testing.T) {
	t.Parallel()
	for name, o := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newWorkshop()
			c, _ := config(t, ports.Require)
			c.Addr = testkit.FreeAddress(t) // no other test listens there afterwards
			c.Limits.Drain = patience
			p := newPort(t, c)
			draining := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ready, ended := make(chan struct{}), make(chan error, 1)
			s := &ports.Server{Handler: shop, Ports: []*ports.Port{p}, Ready: func() { close(ready) }, Draining: func() { close(draining) }}
			go func() { ended <- s.Serve(ctx) }()
			<-ready
			idle := admitted(t, p, clientConfig(alice, o))
			busy := admitted(t, p, clientConfig(alice, o))
			stalled := silent(t, p, "")
			testkit.Eventually(t, "the stalled client is connected", func() bool { return p.ConnCount() == 3 })
			answer := make(chan int, 1)
			go func() { body, _, _ := busy.get("/busy"); answer <- len(body) }()
			<-shop.started
			start := time.Now()
			cancel()
			<-draining
			idle.ends(t)
			stalled.SetReadDeadline(time.Now().Add(patience))
			if _, err := stalled.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("the stalled handshake: %v", err)
			}
			if _, err := net.Dial("tcp", p.Addr().String()); err == nil {
				t.Error("a new connection while draining")
			}
			select {
			case err := <-ended:
				t.Fatalf("ended before the request: %v", err)
			default:
			}
			shop.finish <- struct{}{}
			if n := <-answer; n != long {
				t.Errorf("%d bytes of %d", n, long)
			}
			if err := <-ended; err != nil {
				t.Errorf("Serve: %v", err)
			}
			within(t, "the drain", time.Since(start), 0, patience-time.Second)
			if n := p.ConnCount(); n != 0 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// Covers I12.
func TestDrainClosesEveryConnectionAtItsDeadline(t *testing.T) {
	t.Parallel()
	shop := newWorkshop()
	c, _ := config(t, ports.Require)
	c.Limits.Drain = 300 * time.Millisecond
	p := newPort(t, c)
	stop := serve(t, shop, p)
	hijacked := shop.hijack(t, p, clientConfig(alice, h1))
	hijacked.echoes(t)
	var busy []*caller
	for _, o := range protocols {
		own := admitted(t, p, clientConfig(alice, o))
		go own.get("/busy")
		<-shop.started
		busy = append(busy, own)
	}
	hijacked.reading()
	start := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	within(t, "the drain", time.Since(start), 250*time.Millisecond, 10*time.Second)
	for _, own := range append(busy, hijacked) {
		own.ends(t)
	}
	testkit.Eventually(t, "no connection is left", func() bool { return p.ConnCount() == 0 })
}

// The drain ends when a hijacked connection ends.
// Covers I12.
func TestDrainWaitsForHijackedConnections(t *testing.T) {
	t.Parallel()
	shop := newWorkshop()
	c, _ := config(t, ports.Require)
	c.Addr = testkit.FreeAddress(t) // no other test listens there afterwards
	c.Limits.Drain = patience
	p := newPort(t, c)
	stop := serve(t, shop, p)
	hijacked := shop.hijack(t, p, clientConfig(alice, h1))
	ended := make(chan error, 1)
	start := time.Now()
	go func() { ended <- stop() }()
	testkit.Eventually(t, "the drain begins", func() bool {
		c, err := net.Dial("tcp", p.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	hijacked.echoes(t)
	hijacked.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	within(t, "the drain", time.Since(start), 0, patience-time.Second)
}

// A port that is full, and one without a caller of Accept, can be stopped.
// Covers I12.
func TestFullPortStops(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	c.Limits.Connections, c.Limits.Drain = 1, 300*time.Millisecond
	p := newPort(t, c)
	stop := serve(t, http.HandlerFunc(echoCaller), p)
	admitted(t, p, clientConfig(alice))
	silent(t, p, "") // waits in the queue of the kernel
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestPortListensOnce(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.None)
	p := newPort(t, c)
	first, err := p.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	addr := first.Addr().String()
	if l, err := p.Listen(t.Context()); err == nil {
		l.Close()
		t.Error("the port listens twice")
	} else if !strings.Contains(err.Error(), addr) {
		t.Errorf("%v, want the address %s", err, addr)
	}
	if err := ports.Serve(t.Context(), http.HandlerFunc(echoCaller), p); err == nil {
		t.Error("served a port that listens")
	}
	if p.Addr().String() != addr {
		t.Errorf("the address is %s, want %s", p.Addr(), addr)
	}
	first.Close()
	again, err := p.Listen(t.Context())
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	again.Close()
}

// A connection that is in its handshake when the server stops is served: a restart loses none.
// One that sends nothing has a second.
// Covers N6.
func TestDrainFinishesHandshakesUnderWay(t *testing.T) {
	t.Parallel()
	for name, o := range protocols {
		runOnFakeClock(t, name, func(t *testing.T) {
			c, _ := config(t, ports.Require)
			c.Limits.Drain = patience
			c.Limits.Handshake = time.Minute
			l := chanlisten.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
			c.Listen = func(context.Context, string) (net.Listener, error) { return l, nil }
			p := newPort(t, c)
			pipes.Store(p, l)
			defer pipes.Delete(p)
			draining := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ready, ended := make(chan struct{}), make(chan error, 1)
			s := &ports.Server{Handler: http.HandlerFunc(echoCaller), Ports: []*ports.Port{p}, Ready: func() { close(ready) }, Draining: func() { close(draining) }}
			go func() { ended <- s.Serve(ctx) }()
			<-ready
			beginning := connect(t, p)
			testkit.Eventually(t, "the client is connected", func() bool { return p.ConnCount() == 1 })
			cancel()
			<-draining
			<-l.Done() // the port accepts no more
			time.Sleep(900 * time.Millisecond)
			own, err := over(beginning, clientConfig(alice, o))
			if err != nil {
				t.Fatal(err)
			}
			if body, _, err := own.get("/"); err != nil || !strings.HasPrefix(body, "require alice") {
				t.Errorf("got %q, %v; want the answer for alice", body, err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Second) // the sweep ends
		})
	}
}
