package ports_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// onFakeClock runs a parallel test whose waits take no time. It must not open a socket.
func onFakeClock(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	testkit.OnFakeClock(t, test)
}

// runOnFakeClock runs a subtest on the fake clock.
func runOnFakeClock(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { onFakeClock(t, test) })
}

// pipes are the listeners of the ports that are served over pipes, by their *ports.Port.
var pipes sync.Map

// onPipes serves h on a port over testkit.Pipe until the test ends, and registers it for dial.
func onPipes(t *testing.T, c ports.Config, h http.Handler) *ports.Port {
	t.Helper()
	p, l := newPort(t, c), chanlisten.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)} // it would log every attack
	if err := p.Configure(srv); err != nil {
		t.Fatal(err)
	}
	pipes.Store(p, l)
	go srv.Serve(p.Wrap(l))
	t.Cleanup(func() {
		pipes.Delete(p)
		srv.Close()
		time.Sleep(10 * time.Minute) // every goroutine of the port ends: sweeps, close_notify, queries to a responder
	})
	return p
}

// connect returns a connection to a port, over TCP or a pipe.
func connect(t testing.TB, p *ports.Port) net.Conn {
	t.Helper()
	l, ok := pipes.Load(p)
	if !ok {
		c, err := net.DialTimeout("tcp", p.Addr().String(), patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	client, server := testkit.Pipe()
	t.Cleanup(func() { client.Close() })
	if err := l.(*chanlisten.Listener).Hand(context.Background(), server); err != nil {
		t.Error(err)
	}
	return client
}

// connected is dial for a handshake that must succeed.
func connected(t *testing.T, p *ports.Port, c *tls.Config) *caller {
	t.Helper()
	own, err := dial(t, p, c)
	if err != nil {
		t.Error(err)
	}
	return own
}
