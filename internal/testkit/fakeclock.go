package testkit

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// OnFakeClock runs a parallel test on the fake clock of testing/synctest: its waits take no
// time, and a busy machine does not delay it. The test must not open a socket: see Pipe. It fails
// if one of its goroutines never ends.
func OnFakeClock(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	start := time.Now()
	synctest.Test(t, func(t *testing.T) {
		// The fake clock begins in 2000, when no certificate of the package is valid yet.
		time.Sleep(time.Until(start) + time.Second)
		test(t)
	})
}

// Pipe returns the ends of a connection for OnFakeClock. It has no buffer: a Write waits for the
// Read. Every client has an address of its own.
func Pipe() (client, server net.Conn) {
	here, there := net.Pipe()
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(lastPipe.Add(1))}
	return clientPipe{pipe{here, addr}}, pipe{there, addr}
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
