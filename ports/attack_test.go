package ports_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/ports"
)

// small is a listener whose connections have small kernel buffers, so that a client that
// does not read soon blocks the server.
type small struct{ net.Listener }

func (l small) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		t.SetWriteBuffer(4096)
	}
	return c, err
}

// onSmall serves h on a port whose connections have small kernel buffers.
func onSmall(t *testing.T, c ports.Config, h http.Handler) *ports.Port {
	t.Helper()
	p := newPort(t, c)
	inner, err := net.Listen("tcp", c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)} // it would log every attack
	if err := p.Configure(srv); err != nil {
		t.Fatal(err)
	}
	go srv.Serve(p.Wrap(small{inner}))
	t.Cleanup(func() { srv.Close() })
	return p
}

// dialSmall is dial with a small receive buffer.
func dialSmall(t *testing.T, p *ports.Port, c *tls.Config) *caller {
	t.Helper()
	raw, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.(*net.TCPConn).SetReadBuffer(4096)
	own, err := over(raw, c)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// atOnce runs the rows of a test concurrently: they mostly wait.
func atOnce[V any](rows map[string]V, test func(name string, row V)) {
	var all sync.WaitGroup
	for name, row := range rows {
		all.Go(func() { test(name, row) })
	}
	all.Wait()
}

// heapNow returns the size of the live heap.
func heapNow() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
