package ports

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
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

	idle    time.Duration // Limits.Idle
	out     progress      // of what is written
	checked time.Duration // when the sweep last looked how far a write has got
	request atomic.Int64  // the deadline for writing by Limits.Request, since epoch; 0: none
	stuck   atomic.Bool   // the client takes nothing
	broken  atomic.Bool   // a write has failed
	closing atomic.Bool   // what the client sends from here on is not read

	reading, writing deadline

	closed  sync.Once
	release func()
}

func (r *rawConn) Read(b []byte) (int, error) {
	if r.gate == nil {
		if r.closing.Load() {
			return 0, errPast("read")
		}
		return r.inTime(&r.reading, "read", r.Conn.Read, b)
	}
	r.leave()
	n, err := r.Conn.Read(b)
	r.read += n
	r.replied = r.replied || r.greeted && n > 0
	all := r.conn.port.handshakeBytes.Add(int64(n))
	if err != nil {
		return n, err
	}
	if all > mostHandshakeBytes && r.read > fairHandshakeBytes {
		return n, errHandshakeBytes // fail closed: the client is not let in
	}
	if err := r.gate.enter(r.until); err != nil {
		return n, err
	}
	r.holds = true
	return n, nil
}

// readNoMore makes the request under way the last of the connection.
func (r *rawConn) readNoMore() { r.closing.Store(true) }

// Write fails when the client takes too little of what it is sent: without this a
// client that never reads would keep its connection, and the handler that answers
// it, for ever.
func (r *rawConn) Write(b []byte) (n int, err error) {
	if r.broken.Load() {
		return 0, net.ErrClosed // half a record may be out: crypto/tls would wait five seconds more to say goodbye
	}
	r.out.wait()
	defer r.out.done()
	for {
		m, err := r.inTime(&r.writing, "write", r.Conn.Write, b[n:])
		n += m
		r.out.bytes.Add(int64(m))
		if err == nil {
			return n, nil
		}
		if r.stuck.Load() || !errors.Is(err, os.ErrDeadlineExceeded) || r.writing.passed() {
			r.broken.Store(true)
			return n, err
		}
		r.writing.own.Store(0) // the sweep looked how far the write is
	}
}

// limitRequest is the deadline for writing of an answer on HTTP/1. The zero time
// removes the one that net/http has set, which is meant for HTTP/2: on HTTP/1 the sweep
// watches each write.
func (r *rawConn) limitRequest(end time.Time) {
	r.request.Store(sinceEpoch(end))
	_ = r.SetWriteDeadline(end) // a connection that is closed needs no deadline
}

// sweepWrite ends a write whose client does not go on. A kernel wakes a writer only
// when much of its buffer is free, which takes an honest slow client minutes: so the
// write is interrupted now and then, and goes on with what there is room for.
func (r *rawConn) sweepWrite(now time.Duration) {
	if asked := r.writing.asked.Load(); asked != 0 && asked != r.request.Load() {
		return // the handler's own deadline takes the place of Limits.Idle
	}
	switch { // the limit leaves a sweep to look before one decides
	case r.out.stalled(now, leastIn(r.idle), max(r.idle, 2*sweepEvery)):
		r.stuck.Store(true)
	case r.out.since == 0 || r.out.since == now || now-r.checked < max(sweepEvery, r.idle/8):
		return
	}
	r.checked = now
	r.writing.own.Store(int64(now))
	_ = r.changed(&r.writing)
}

// What all handshakes of a port that are under way may have sent together, beyond
// what each of them may always send. A chain of three certificates has some 5 KiB;
// one that is just accepted has 160 KiB, and 10,000 of those would be 1.6 GB.
const (
	mostHandshakeBytes = 64 << 20
	fairHandshakeBytes = 16 << 10
)

var errHandshakeBytes = reason.Refuse(reason.Limit, "the handshakes under way are too large together")

// forget ends the count of the bytes of a handshake.
func (r *rawConn) forget() { r.conn.port.handshakeBytes.Add(-int64(r.read)) }

// leave gives the place at the gate back.
func (r *rawConn) leave() {
	if r.holds {
		r.gate.leave()
		r.holds = false
	}
}

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
