package ports

import (
	"sync/atomic"
	"time"
)

// progress watches one direction of a connection or a stream for a peer that does
// not go on. The side that may wait marks where a wait begins and ends and counts
// the bytes that the peer took or sent; the port's sweep decides. Marking costs two
// atomic stores, so that a write that does not wait sets no timer and sends no message.
type progress struct {
	waiting atomic.Bool
	bytes   atomic.Int64

	// Only the sweep uses these.
	since time.Duration // on the port's clock: when the present wait was first seen, or last got far enough; 0 while there is none
	mark  int64         // bytes at since
}

// wait marks the beginning of a wait, done its end.
func (p *progress) wait() { p.waiting.Store(true) }
func (p *progress) done() { p.waiting.Store(false) }

// stalled reports whether the peer has moved fewer than least bytes in a wait of
// limit. The sweep calls it once a round, so a wait is found at most two rounds late.
func (p *progress) stalled(now time.Duration, least int64, limit time.Duration) bool {
	if !p.waiting.Load() {
		p.since = 0
		return false
	}
	if bytes := p.bytes.Load(); p.since == 0 || bytes-p.mark >= least {
		p.since, p.mark = now, bytes
		return false
	}
	return now-p.since >= limit
}

// The slowest peer that is served takes 4 KiB a second or, where Limits.Idle is
// longer than four seconds, 16 KiB in that time: one DATA frame of HTTP/2, one
// record of TLS. Bytes that come more slowly do not keep a connection.
const (
	leastRate = 4 << 10
	mostLeast = 16 << 10
)

// leastIn returns the bytes that a peer has to take within limit.
func leastIn(limit time.Duration) int64 {
	return min(max(int64(limit.Seconds()*leastRate), 1<<10), mostLeast)
}
