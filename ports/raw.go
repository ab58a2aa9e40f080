package ports

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// rawConn is the connection below TLS. During the handshake it holds a place at
// the gate only while there is something to compute, never while it waits for the
// client: a silent client costs a deadline, not a place.
type rawConn struct {
	net.Conn
	conn    *Conn
	gate    *gate // nil once the handshake is over
	holds   bool
	greeted bool // we have answered the client's hello
	replied bool // and the client has said something to that
	read    int  // bytes, during the handshake
	until   time.Time

	verified trust.Verified // during the handshake, before the client has proved that it holds the key

	stall   time.Duration // how long a write may wait for the client, a sweep more at the most
	armed   atomic.Int64  // the port's clock when the deadline of writes was set
	watched atomic.Bool   // somebody has set a deadline for writing
	broken  atomic.Bool   // a write has failed

	reading readDeadline

	closed  sync.Once
	release func()
}

func (r *rawConn) Read(b []byte) (int, error) {
	if r.gate == nil {
		return r.readInTime(b)
	}
	r.leave()
	n, err := r.Conn.Read(b)
	r.read += n
	r.replied = r.replied || r.greeted && n > 0
	if err != nil {
		return n, err
	}
	if err := r.gate.enter(r.until); err != nil {
		return n, err
	}
	r.holds = true
	return n, nil
}

// Write ends a connection whose client takes nothing of what it is sent, unless
// somebody else has said when writing ends: without this a client that never reads
// would keep its connection, and the handler that answers it, for ever.
func (r *rawConn) Write(b []byte) (int, error) {
	if r.broken.Load() {
		return 0, net.ErrClosed // half a record may be out: crypto/tls would wait five seconds more to say goodbye
	}
	if r.stall > 0 && !r.watched.Load() {
		// Once for each sweep: a deadline for every write costs more than deciding.
		if clock := r.conn.port.clock.Load(); clock < 0 || r.armed.Swap(clock) != clock {
			r.Conn.SetWriteDeadline(time.Now().Add(r.stall + sweepEvery))
		}
	}
	n, err := r.Conn.Write(b)
	if err != nil {
		r.broken.Store(true)
	}
	return n, err
}

// leave gives the place at the gate back.
func (r *rawConn) leave() {
	if r.holds {
		r.gate.leave()
		r.holds = false
	}
}

// abort closes the connection.
func (r *rawConn) abort() { r.Close() }

// Close closes the connection and gives back what it took from the port.
func (r *rawConn) Close() error {
	err := r.Conn.Close()
	r.closed.Do(func() {
		r.release()
		if cancel := r.conn.cancel.Load(); cancel != nil {
			(*cancel)()
		}
	})
	return err
}
