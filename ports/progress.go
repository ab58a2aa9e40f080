package ports

import (
	"sync/atomic"
	"time"
)

// progress measures one direction of a connection or a stream, to detect a peer that
// stalls. The side that may wait marks where a wait begins and ends and counts
// the bytes that the peer took or sent; the port's sweep decides. Marking costs two
// atomic stores: a write that does not wait sets no timer.
type progress struct {
	waiting atomic.Bool
	bytes   atomic.Int64

	// Only the sweep uses these.
	waitingSince time.Duration // since epoch: when the sweep first saw the wait, or last saw enough progress; 0: no wait
	bytesThen    int64         // bytes at waitingSince
}

// begin marks the beginning of a wait, end its end.
func (p *progress) begin() { p.waiting.Store(true) }
func (p *progress) end()   { p.waiting.Store(false) }

// stalled reports whether the peer took or sent fewer than least bytes in a wait of
// limit. The sweep calls it once a round, so a wait is found at most two rounds late.
func (p *progress) stalled(now time.Duration, least int64, limit time.Duration) bool {
	if !p.waiting.Load() {
		p.waitingSince = 0
		return false
	}
	if bytes := p.bytes.Load(); p.waitingSince == 0 || bytes-p.bytesThen >= least {
		p.waitingSince, p.bytesThen = now, bytes
		return false
	}
	return now-p.waitingSince >= limit
}

// The slowest peer that is served takes 4 KiB a second or, where Limits.Idle is
// longer than four seconds, 16 KiB in that time: one DATA frame of HTTP/2, one
// record of TLS. Bytes that come more slowly do not keep a connection.
const (
	minRate     = 4 << 10
	maxMinBytes = 16 << 10
)

// minBytes returns how many bytes a peer has to take within limit.
func minBytes(limit time.Duration) int64 {
	return min(max(int64(limit.Seconds()*minRate), 1<<10), maxMinBytes)
}
