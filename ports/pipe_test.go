package ports_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/ports"
)

// onFakeClock runs a parallel test on the fake clock of testing/synctest: its waits take no
// time, and a busy machine does not delay it. The test must not open a socket.
func onFakeClock(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	start := time.Now()
	synctest.Test(t, func(t *testing.T) {
		// The fake clock begins in 2000, when no certificate of this package is valid yet.
		time.Sleep(time.Until(start) + time.Second)
		test(t)
	})
}

// runOnFakeClock runs a subtest on the fake clock.
func runOnFakeClock(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { onFakeClock(t, test) })
}

// pipes are the listeners of the ports that are served over pipes, by their *ports.Port.
var pipes sync.Map

// onPipes serves h on a port over net.Pipe until the test ends, and registers it for dial. A
// pipe has no buffer: a Write waits for the Read.
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

// lastPipe numbers pipes.
var lastPipe atomic.Int64

// pipe is an end of a pipe. Both ends have the address of the client.
type pipe struct {
	net.Conn
	client net.Addr
}

func (p pipe) LocalAddr() net.Addr  { return p.client } // of the client's end
func (p pipe) RemoteAddr() net.Addr { return p.client } // of the server's end

// clientPipe is the client's end. Its crypto/tls does not wait for the server to read a
// close_notify: net/http holds a mutex meanwhile, and the fake clock stands still while another
// goroutine waits for a mutex.
type clientPipe struct{ pipe }

// SetWriteDeadline sets a deadline. That of five seconds, which crypto/tls gives its
// close_notify, is over at once.
func (p clientPipe) SetWriteDeadline(t time.Time) error {
	if time.Until(t) == 5*time.Second { // exactly: the fake clock stands still meanwhile
		t = time.Now()
	}
	return p.pipe.SetWriteDeadline(t)
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
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close() })
	client := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(lastPipe.Add(1))}
	if err := l.(*chanlisten.Listener).Hand(context.Background(), pipe{there, client}); err != nil {
		t.Error(err)
	}
	return clientPipe{pipe{here, client}}
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
