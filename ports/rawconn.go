package ports

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// rawConn is the connection below TLS.
type rawConn struct {
	net.Conn
	conn      *Conn
	handshake *handshake // nil once it is over

	idleLimit     time.Duration // Limits.Idle
	lastCheck     time.Duration // when the sweep last interrupted a write
	requestEnd    atomic.Int64  // the deadline for writing by Limits.Request, since epoch; 0: none
	begun         atomic.Bool   // the client has sent something of its handshake
	clientStalled atomic.Bool   // the client reads nothing
	writeFailed   atomic.Bool   // a write has failed
	readStopped   atomic.Bool   // nothing more is read from the client

	reading, writing deadline

	closed  sync.Once
	counted bool // for its address; set with the port's mu held once the connection is among the port's

	proxy  net.Addr // the peer, if it has to send a PROXY header
	remote net.Addr // the caller: the peer, or the address in the PROXY header; nil: ask Conn
}

// handshake is what a connection needs during its handshake alone. It holds a place among those
// that compute only while there is something to compute, never while it waits for the client: a
// silent client costs a deadline, not a place.
type handshake struct {
	places        *limiter
	holdsPlace    bool
	sentHello     bool // the client's hello has been answered
	clientReplied bool // and the client has sent something since
	probe         bool // the hello has the mark of a probe
	challenge     bool // the client is a CA that validates a name; see challengeConfig
	bytes         int  // that the client has sent
	end           time.Time
	alert         alertRecord
	verified      trust.Verified // before the client has proved that it holds the key
}

func (r *rawConn) Read(b []byte) (int, error) {
	if r.handshake != nil {
		return r.readHandshake(b)
	}
	if r.readStopped.Load() {
		return 0, errDeadline("read")
	}
	r.reading.begin()
	err := r.prepare(&r.reading, "read")
	n := 0
	if err == nil {
		n, err = r.Conn.Read(b)
	}
	r.reading.end(n)
	return n, err
}

// readHandshake is Read during the handshake.
func (r *rawConn) readHandshake(b []byte) (int, error) {
	h := r.handshake
	h.releasePlace()
	n, err := r.Conn.Read(b)
	if h.bytes == 0 && n > 0 {
		r.begun.Store(true)
	}
	h.bytes += n
	h.clientReplied = h.clientReplied || h.sentHello && n > 0
	all := r.conn.port.handshakeBytes.Add(int64(n))
	if err != nil {
		return n, err
	}
	if all > maxHandshakeBytes && h.bytes > freeHandshakeBytes {
		// Fail closed: the client is not let in.
		return n, reason.Refuse(reason.Limit, fmt.Sprintf("the handshakes under way are too large together: they have %d bytes, at most %d are allowed, and %s has sent %d",
			all, maxHandshakeBytes, r.RemoteAddr(), h.bytes))
	}
	return n, h.takePlace()
}

// stopReading makes the request under way the last of the connection.
func (r *rawConn) stopReading() { r.readStopped.Store(true) }

// Write fails when the client takes too little of what is written: without this a
// client that never reads would keep its connection, and the handler that answers
// it, for ever.
func (r *rawConn) Write(b []byte) (n int, err error) {
	if r.writeFailed.Load() {
		return 0, net.ErrClosed // half a record may be out: crypto/tls would wait another five seconds to send its alert
	}
	if h := r.handshake; h != nil {
		b = h.alert.replace(b)
	}
	r.writing.begin()
	for {
		m, err := 0, r.prepare(&r.writing, "write")
		if err == nil {
			m, err = r.Conn.Write(b[n:])
		}
		n += m
		if err == nil {
			r.writing.end(m)
			return n, nil
		}
		if r.clientStalled.Load() || !errors.Is(err, os.ErrDeadlineExceeded) || r.writing.isOver() {
			r.writeFailed.Store(true)
			r.writing.end(m)
			return n, err
		}
		r.writing.add(m)
		r.writing.limit.Store(0) // the sweep had interrupted the write
	}
}

// setRequestLimit sets the deadline for writing an answer on HTTP/1. The zero time
// removes the one that net/http has set, which is meant for HTTP/2: on HTTP/1 the sweep
// watches each write.
func (r *rawConn) setRequestLimit(end time.Time) {
	if since := sinceEpoch(end); r.requestEnd.Load() != since {
		r.requestEnd.Store(since)
	}
	_ = r.SetWriteDeadline(end) // a connection that is closed needs no deadline
}

// sweepWrite ends a write whose client does not read on. A kernel wakes a writer only
// when much of its buffer is free, which takes an honest slow client minutes. So the
// write is interrupted now and then, and continues with as much as there is room for.
func (r *rawConn) sweepWrite(now time.Duration) {
	if end := r.writing.requested.Load(); end != 0 && end != r.requestEnd.Load() {
		return // the handler's own deadline takes the place of Limits.Idle
	}
	switch { // the limit leaves a sweep to look before one decides
	case r.writing.stalled(now, minBytes(r.idleLimit), max(r.idleLimit, 2*sweepEvery)):
		r.clientStalled.Store(true)
	case r.writing.waitingSince == 0 || r.writing.waitingSince == now || now-r.lastCheck < max(sweepEvery, r.idleLimit/8):
		return
	}
	r.lastCheck = now
	r.writing.limit.Store(int64(now))
	_ = r.deadlineChanged(&r.writing)
}

// maxHandshakeBytes bounds the bytes that all clients of a port have sent in handshakes under
// way; beyond it a client may still send freeHandshakeBytes. A chain of three certificates has
// some 5 KiB; the largest that is accepted has 160 KiB, and 10,000 of those would be 1.6 GB.
const (
	maxHandshakeBytes  = 64 << 20
	freeHandshakeBytes = 16 << 10
)

// takePlace waits for a place among the handshakes that compute.
func (h *handshake) takePlace() error {
	err := h.places.acquire(h.end)
	h.holdsPlace = err == nil
	return err
}

// releasePlace gives back the place among the handshakes that compute, if there is one.
func (h *handshake) releasePlace() {
	if h.holdsPlace {
		h.places.release()
		h.holdsPlace = false
	}
}

// Close closes the connection and gives back its place in the port's limits.
func (r *rawConn) Close() error {
	err := r.Conn.Close()
	r.closed.Do(func() {
		r.conn.port.release(r)
		if cancel := r.conn.cancel.Load(); cancel != nil {
			(*cancel)()
		}
	})
	return err
}
