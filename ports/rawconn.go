package ports

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// rawConn is the connection below TLS. During the handshake it holds a place among those that
// compute only while there is something to compute, never while it waits for the client: a
// silent client costs a deadline, not a place.
type rawConn struct {
	net.Conn
	conn           *Conn
	handshakes     *limiter // nil once the handshake is over
	holdsPlace     bool
	sentHello      bool        // the client's hello has been answered
	clientReplied  bool        // and the client has sent something since
	probe          bool        // the hello has the mark of a probe
	challenge      bool        // the client is a CA that validates a name; see challengeConfig
	begun          atomic.Bool // the client has sent something of its handshake
	handshakeBytes int         // bytes, during the handshake
	handshakeEnd   time.Time
	alert          *alertRecord // nil once the handshake is over

	verified trust.Verified // during the handshake, before the client has proved that it holds the key

	idleLimit     time.Duration // Limits.Idle
	lastCheck     time.Duration // when the sweep last interrupted a write
	requestEnd    atomic.Int64  // the deadline for writing by Limits.Request, since epoch; 0: none
	clientStalled atomic.Bool   // the client reads nothing
	writeFailed   atomic.Bool   // a write has failed
	readStopped   atomic.Bool   // nothing more is read from the client

	reading, writing deadline

	closed sync.Once

	proxy      net.Addr // the peer, if it has to send a PROXY header
	callerAddr net.Addr // the caller, as in the PROXY header; nil: there is none

	// Set with the port's mu held once the connection is among the port's.
	counted bool         // for its address
	addr    netip.Prefix // as connlimit counts it
}

func (r *rawConn) Read(b []byte) (int, error) {
	if r.handshakes == nil {
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
	r.releasePlace()
	n, err := r.Conn.Read(b)
	if r.handshakeBytes == 0 && n > 0 {
		r.begun.Store(true)
	}
	r.handshakeBytes += n
	r.clientReplied = r.clientReplied || r.sentHello && n > 0
	all := r.conn.port.handshakeBytes.Add(int64(n))
	if err != nil {
		return n, err
	}
	if all > maxHandshakeBytes && r.handshakeBytes > freeHandshakeBytes {
		// Fail closed: the client is not let in.
		return n, reason.Refuse(reason.Limit, fmt.Sprintf("the handshakes under way are too large together: they have %d bytes, at most %d are allowed, and %s has sent %d",
			all, maxHandshakeBytes, r.RemoteAddr(), r.handshakeBytes))
	}
	if err := r.handshakes.acquire(r.handshakeEnd); err != nil {
		return n, err
	}
	r.holdsPlace = true
	return n, nil
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
	if r.alert != nil {
		b = r.alert.replace(b)
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

// uncountHandshakeBytes subtracts the bytes of a handshake that is over.
func (r *rawConn) uncountHandshakeBytes() { r.conn.port.handshakeBytes.Add(-int64(r.handshakeBytes)) }

// releasePlace gives back the place among the handshakes that compute, if there is one.
func (r *rawConn) releasePlace() {
	if r.holdsPlace {
		r.handshakes.release()
		r.holdsPlace = false
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
